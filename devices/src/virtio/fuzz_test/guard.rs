//! Which bytes of guest memory a device may change: the used rings, and what descriptors that it is to write name. Walked
//! by rules of its own, not by what the devices use.

use std::ops::Range;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, bitmap::Bitmap};

use crate::{GuestMemory, virtio::QueueState};

/// Regions of memory: two that touch, and one behind a gap.
pub const REGIONS: [Range<u64>; 3] = [0..0x10_0000, 0x10_0000..0x18_0000, 0x20_0000..0x24_0000];
/// Nothing that the driver writes by itself names any of this.
pub const UNNAMED: Range<u64> = 0x22_0000..0x24_0000;
/// What nobody wrote: as a descriptor it names no memory.
const FILL: u8 = 0xa5;
const PAGE: u64 = 4096;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// Memory as the driver wrote it, and what a device may do to it.
pub struct Guard {
    regions: Vec<Region>,
    /// A device may write to the tables that it reads: then it cannot be foretold what they name.
    is_tangled: bool,
}

struct Region {
    at: Range<u64>,
    written: Vec<u8>,
    may: Vec<May>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    No,
    Write,
    /// As a balloon does: the page is gone, and is not in the log of what the device wrote.
    Release,
}

pub fn memory() -> GuestMemory {
    let ranges = REGIONS.map(|range| (GuestAddress(range.start), (range.end - range.start) as usize));
    GuestMemory::from_ranges(&ranges).unwrap()
}

impl Guard {
    /// Fills `memory`, and has a look at it from here on.
    pub fn new(memory: &GuestMemory) -> Self {
        let regions = REGIONS.map(|at| {
            let len = (at.end - at.start) as usize;
            let written = vec![FILL; len];
            memory.write_slice(&written, GuestAddress(at.start)).unwrap();
            Region { at, written, may: vec![May::No; len] }
        });
        for region in memory.iter() {
            region.get_mmap().bitmap().reset();
        }
        Self { regions: regions.into(), is_tangled: false }
    }

    /// The driver wrote `bytes`.
    pub fn wrote(&mut self, at: u64, bytes: &[u8]) {
        for region in &mut self.regions {
            let (here, skipped) = region.part(at, bytes.len());
            region.written[here.clone()].copy_from_slice(&bytes[skipped..skipped + here.len()]);
        }
    }

    fn allow(&mut self, range: &Range<u64>, what: May) {
        for region in &mut self.regions {
            let (here, _) = region.part(range.start, (range.end - range.start) as usize);
            region.may[here].iter_mut().filter(|may| **may != May::Release).for_each(|may| *may = what);
        }
    }

    fn is_allowed_in(&self, range: &Range<u64>) -> bool {
        self.regions.iter().any(|region| {
            let (here, _) = region.part(range.start, (range.end - range.start) as usize);
            region.may[here].iter().any(|may| *may != May::No)
        })
    }

    /// Looks at all that the driver has made available, before the device does. `released` says what a device
    /// gives back to its host for a buffer of a queue.
    pub fn look(
        &mut self,
        memory: &GuestMemory,
        queues: &[QueueState],
        released: impl Fn(usize, &Buffer) -> Vec<Range<u64>>,
    ) {
        let mut tables = Vec::new();
        for (index, queue) in queues.iter().enumerate().filter(|(_, queue)| queue.ready) {
            let size = u64::from(queue.size);
            self.allow(&(queue.device..queue.device + 6 + 8 * size), May::Write);
            tables.push(queue.desc..queue.desc + 16 * size);
            tables.push(queue.driver..queue.driver + 6 + 2 * size);
            // What is not in memory as a whole is nothing to be served.
            for buffer in buffers(memory, queue, &mut tables) {
                if buffer.is_to_write {
                    self.allow(&buffer.at, May::Write);
                }
                released(index, &buffer).iter().for_each(|range| self.allow(range, May::Release));
            }
        }
        self.is_tangled |= tables.iter().any(|table| self.is_allowed_in(table));
    }

    /// Nothing has changed but what may, and what the device wrote is in the log of what the VMM writes.
    pub fn check(&self, memory: &GuestMemory) {
        for (region, mapped) in self.regions.iter().zip(memory.iter()) {
            let mut now = vec![0; region.written.len()];
            memory.read_slice(&mut now, GuestAddress(region.at.start)).unwrap();
            let pages = now.chunks(PAGE as usize).zip(region.written.chunks(PAGE as usize));
            for (number, _) in pages.enumerate().filter(|(_, (now, written))| now != written) {
                let page = number * PAGE as usize;
                for at in (page..page + PAGE as usize).filter(|at| now[*at] != region.written[*at]) {
                    let address = region.at.start + at as u64;
                    let is_checked = !self.is_tangled || UNNAMED.contains(&address);
                    assert!(
                        region.may[at] != May::No || !is_checked,
                        "{address:#x} was changed to {:#x}, and is nobody's to change",
                        now[at]
                    );
                    assert!(
                        region.may[at] != May::Write || self.is_tangled || mapped.bitmap().dirty_at(page),
                        "{address:#x} was changed, and its page would not move with the guest"
                    );
                }
            }
        }
    }
}

impl Region {
    /// Which of the `len` bytes from `at` on are here, and how many are before.
    fn part(&self, at: u64, len: usize) -> (Range<usize>, usize) {
        let end = at.saturating_add(len as u64).min(self.at.end);
        let start = at.max(self.at.start).min(self.at.end);
        if start >= end {
            return (0..0, 0);
        }
        let here = (start - self.at.start) as usize..(end - self.at.start) as usize;
        (here, (start - at) as usize)
    }
}

/// A buffer that lies in memory.
pub struct Buffer {
    pub at: Range<u64>,
    pub is_to_write: bool,
    pub holds: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Descriptor {
    at: u64,
    len: u32,
    flags: u16,
    next: u16,
}

fn descriptor(memory: &GuestMemory, table: u64, index: u16) -> Option<Descriptor> {
    let mut bytes = [0; 16];
    let at = table.checked_add(16 * u64::from(index))?;
    memory.read_slice(&mut bytes, GuestAddress(at)).ok()?;
    let [at @ .., l0, l1, l2, l3, f0, f1, n0, n1] = bytes;
    Some(Descriptor {
        at: u64::from_le_bytes(at),
        len: u32::from_le_bytes([l0, l1, l2, l3]),
        flags: u16::from_le_bytes([f0, f1]),
        next: u16::from_le_bytes([n0, n1]),
    })
}

/// Every buffer that a walk from any entry of the available ring comes by; the tables it reads go to `tables`.
fn buffers(memory: &GuestMemory, queue: &QueueState, tables: &mut Vec<Range<u64>>) -> Vec<Buffer> {
    let size = queue.size as u16;
    let mut found = Vec::new();
    let mut seen = vec![false; size.into()];
    for entry in 0..u64::from(size) {
        let head: u16 = memory.read_obj(GuestAddress(queue.driver + 4 + 2 * entry)).unwrap();
        for one in walk(memory, queue.desc, head, &mut seen) {
            if one.flags & INDIRECT == 0 {
                found.push(one);
                continue;
            }
            tables.push(one.at..one.at.saturating_add(one.len.into()));
            let mut seen = vec![false; (one.len / 16).min(u16::MAX.into()) as usize];
            found.extend(walk(memory, one.at, 0, &mut seen).iter().filter(|one| one.flags & INDIRECT == 0));
        }
    }
    let buffer = |one: Descriptor| {
        let mut holds = vec![0; one.len as usize];
        memory.read_slice(&mut holds, GuestAddress(one.at)).ok()?;
        let at = one.at..one.at + u64::from(one.len);
        Some(Buffer { at, is_to_write: one.flags & WRITE != 0, holds })
    };
    let is_there = |one: &Descriptor| memory.check_range(GuestAddress(one.at), one.len as usize);
    found.into_iter().filter(is_there).filter_map(buffer).collect()
}

/// The descriptors of a table that a walk from `index` comes by, but for those that were seen before.
fn walk(memory: &GuestMemory, table: u64, mut index: u16, seen: &mut [bool]) -> Vec<Descriptor> {
    let mut found = Vec::new();
    while seen.get(usize::from(index)) == Some(&false) {
        seen[usize::from(index)] = true;
        let Some(one) = descriptor(memory, table, index) else { break };
        found.push(one);
        if one.flags & NEXT == 0 || one.flags & INDIRECT != 0 {
            break;
        }
        index = one.next;
    }
    found
}
