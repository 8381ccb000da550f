//! The processors that ACPI lists: RSDP, then XSDT or RSDT, then the MADT's local APIC entries.
//!
//! Checksums are not checked: the tables come from the VMM that could as well give wrong ones with right sums.
//! Addresses are checked against what is mapped. Neighbours: `boot_information` (where the root pointer is).

use core::ptr::with_exposed_provenance;

use super::boot::MAX_CPUS;

const XSDT_REVISION: u8 = 2;
const HEADER_BYTES: u64 = 36;
const MADT_ENTRIES: u64 = 44;
const LOCAL_APIC: u8 = 0;
const LOCAL_X2APIC: u8 = 9;
const USABLE: u32 = 0b11;
/// Tables and entries beyond this are not looked at.
const MOST_ENTRIES: u64 = 1024;

/// APIC ids of the usable processors, at most [`MAX_CPUS`].
#[derive(Default)]
pub struct Processors {
    ids: [u32; MAX_CPUS],
    count: usize,
}

impl Processors {
    /// The ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids[..self.count]
    }

    fn add(&mut self, id: u32, flags: u32) {
        if flags & USABLE != 0 && self.count < MAX_CPUS {
            self.ids[self.count] = id;
            self.count += 1;
        }
    }
}

/// Physical memory below `end`, which is mapped.
struct Mapped {
    end: u64,
}

impl Mapped {
    fn read<T: Copy>(&self, address: u64) -> Option<T> {
        if address == 0 || address.checked_add(size_of::<T>() as u64)? > self.end {
            return None;
        }
        // SAFETY: mapped, and T is a plain number; tables need not be aligned.
        Some(unsafe { with_exposed_provenance::<T>(address as usize).read_unaligned() })
    }

    /// The address of the table with `signature`.
    fn find(&self, rsdp: u64, signature: [u8; 4]) -> Option<u64> {
        let extended = self.read::<u8>(rsdp + 15)? >= XSDT_REVISION;
        let (root, width) = if extended {
            (self.read::<u64>(rsdp + 24)?, 8)
        } else {
            (u64::from(self.read::<u32>(rsdp + 16)?), 4)
        };
        let length = u64::from(self.read::<u32>(root + 4)?);
        (0..length.checked_sub(HEADER_BYTES)? / width).take(MOST_ENTRIES as usize).find_map(|index| {
            let at = root + HEADER_BYTES + index * width;
            let table = if extended { self.read::<u64>(at)? } else { u64::from(self.read::<u32>(at)?) };
            (self.read::<[u8; 4]>(table)? == signature).then_some(table)
        })
    }

    fn processors(&self, madt: u64) -> Option<Processors> {
        let mut processors = Processors::default();
        let end = madt + u64::from(self.read::<u32>(madt + 4)?);
        let mut at = madt + MADT_ENTRIES;
        for _ in 0..MOST_ENTRIES {
            if at + 2 > end {
                break;
            }
            match self.read::<u8>(at)? {
                LOCAL_APIC => processors.add(u32::from(self.read::<u8>(at + 3)?), self.read(at + 4)?),
                LOCAL_X2APIC => processors.add(self.read(at + 4)?, self.read(at + 8)?),
                _ => {}
            }
            at += u64::from(self.read::<u8>(at + 1)?.max(2));
        }
        Some(processors)
    }
}

/// The processors in the tables at `rsdp`; none if there are no such tables below `end`.
///
/// # Safety
/// Everything below `end` is mapped and may be read.
pub unsafe fn processors(rsdp: u64, end: u64) -> Processors {
    let memory = Mapped { end };
    memory.find(rsdp, *b"APIC").and_then(|madt| memory.processors(madt)).unwrap_or_default()
}
