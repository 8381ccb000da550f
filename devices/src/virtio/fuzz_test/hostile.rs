//! A driver that does the right things most of the time, and hostile ones else.

use std::ops::Range;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::guard::{Buffer, Guard, REGIONS, UNNAMED, memory};
use crate::{
    Lifecycle, MmioDevice,
    fuzz_test::{Mutator, sequences},
    virtio::{
        VirtioDevice, VirtioMmio,
        driver_test::{Driver, QUEUES},
        registers::*,
    },
};

/// A device under attack, and what is at its other end.
pub trait Subject {
    type Device: VirtioDevice + 'static;

    /// A new device, for a boot or for a guest that moves to it.
    fn fresh(&mut self) -> Self::Device;

    /// What a right request in this queue is.
    fn request(&mut self, queue: usize, mutator: &mut Mutator) -> Request;

    /// Something that happens at the host's end.
    fn host(&mut self, device: &mut VirtioMmio<Self::Device>, mutator: &mut Mutator);

    /// Memory that the device gives back to its host for a buffer of this queue.
    fn released(_queue: usize, _buffer: &Buffer) -> Vec<Range<u64>> {
        Vec::new()
    }

    /// Features that `serves` needs.
    const FEATURES: u64 = 0;

    /// Has a driver that is right do a right request, which the device must serve.
    fn serves(&mut self, driver: &mut Driver<Self::Device>);
}

/// What a driver has a device read, and how many bytes it may answer.
pub struct Request {
    pub says: Vec<u8>,
    pub room: usize,
}

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// Room for a queue of 1024: the table, the available ring, the used ring.
const QUEUE_BYTES: u64 = 0x8000;
const AVAIL: u64 = 0x4000;
const USED: u64 = 0x5000;
const FIRST_QUEUE: u64 = 0x1_0000;
/// Where indirect tables are, what the device reads, and what it writes: across two regions, or behind the gap.
const TABLES: Range<u64> = 0x9_8000..0xa_0000;
const TO_READ: Range<u64> = 0xa_0000..0xf_8000;
const TO_WRITE: [Range<u64>; 2] = [0xf_8000..0x18_0000, 0x20_0000..0x22_0000];
/// Most events of the loop until a device must be quiet.
const MOST_EVENTS: usize = 1000;

/// How far the attacks came.
#[derive(Default)]
struct Depth {
    served: usize,
    broken: usize,
    moved: usize,
}

/// Plays `iterations` sequences against what `make` makes.
pub fn attack<S: Subject>(seed: u64, iterations: u64, mut make: impl FnMut(&mut Mutator) -> S) {
    let (mut depth, mut played) = (Depth::default(), 0);
    sequences(seed, iterations, |mutator| {
        played += 1;
        let mut hostile = Hostile::new(make(mutator));
        hostile.start(mutator, &mut depth);
        for _ in 0..1 + mutator.below(60) {
            hostile.step(mutator, &mut depth);
        }
        hostile.end(mutator, &mut depth);
    });
    // Where all is refused at once, or nothing ever, nothing is tried.
    let Depth { served, broken, moved } = depth;
    assert!(
        played < 20 || served > played && broken > played / 20 && moved > played / 10,
        "of {played} sequences: {served} requests served, {broken} rules found broken, {moved} moves"
    );
}

/// A driver may take any size of queue that there can be, up to the device's own, and is served: with one entry by indirect
/// tables.
pub fn take_every_size<S: Subject>(mut subject: S) {
    let mut most = 1;
    for size in (0..=10).map(|bits| 1 << bits) {
        let mut driver = Driver::in_memory(subject.fresh(), memory());
        most = most.max(*driver.device().device().queue_sizes().iter().max().unwrap());
        driver.start_with(S::FEATURES | F_INDIRECT, size);
        // More than once around the small ones.
        (0..3).for_each(|_| subject.serves(&mut driver));
        assert!(!driver.needs_reset(), "queues of {size}");
        if size == most {
            return;
        }
    }
    panic!("its queues have {most} entries");
}

#[derive(Clone, Copy, Default)]
struct Ring {
    size: u16,
    desc: u64,
    avail: u64,
    used: u64,
    /// Descriptors given out, and chains made available.
    given: u16,
    offered: u16,
}

struct Hostile<S: Subject> {
    subject: S,
    driver: Driver<S::Device>,
    guard: Guard,
    rings: [Ring; QUEUES],
    /// Indirect tables and buffers given out.
    places: u64,
}

impl<S: Subject> Hostile<S> {
    fn new(mut subject: S) -> Self {
        let memory = memory();
        let guard = Guard::new(&memory);
        let driver = Driver::in_memory(subject.fresh(), memory);
        Self { subject, driver, guard, rings: [Ring::default(); QUEUES], places: 0 }
    }

    fn step(&mut self, mutator: &mut Mutator, depth: &mut Depth) {
        let status = self.driver.read(STATUS);
        if status & (NEEDS_RESET | FAILED | DRIVER_OK) != DRIVER_OK && mutator.below(3) == 0 {
            return self.start(mutator, depth);
        }
        match mutator.below(100) {
            0..40 => self.offer(mutator),
            40..62 => self.turn(),
            62..66 => self.storm(mutator),
            66..74 => self.subject.host(&mut self.driver.device(), mutator),
            74..78 => self.access(mutator),
            78..83 => self.scribble(mutator),
            83..85 => self.driver.write(STATUS, 1 << mutator.below(8) | mutator.next() as u32 & 0x0f),
            85..88 => self.set_up_again(mutator),
            88..90 => self.start(mutator, depth),
            90..95 => {
                depth.moved += 1;
                self.turn();
                let target = self.subject.fresh();
                self.driver.move_to(target);
            }
            95..97 => {
                self.driver.device().pause();
                if mutator.below(2) == 0 {
                    self.driver.device().release();
                }
                self.turn();
                self.driver.device().resume();
            }
            _ => self.configure(mutator),
        }
    }

    /// Whatever was done, a device stands still when it shall, has left alone what is not its own, comes back the same from
    /// its saved state, and serves a driver that resets it.
    fn end(&mut self, mutator: &mut Mutator, depth: &mut Depth) {
        self.turn();
        self.count(depth);
        self.driver.device().pause();
        self.guard.check(&self.driver.memory);
        if mutator.below(2) == 0 {
            let target = self.subject.fresh();
            self.driver.move_to(target);
        }
        self.driver.device().resume();
        self.driver.write(STATUS, 0);
        assert_eq!(self.driver.read(STATUS), 0, "a device that is not reset");
        self.driver.start(S::FEATURES);
        self.subject.serves(&mut self.driver);
        assert!(!self.driver.needs_reset());
    }

    fn count(&self, depth: &mut Depth) {
        depth.served += (0..QUEUES).map(|queue| usize::from(self.used(queue))).sum::<usize>();
        depth.broken += usize::from(self.driver.needs_reset());
    }

    /// What the device has used since the queue was set up, as far as it can be told.
    fn used(&self, queue: usize) -> u16 {
        let ring = self.rings[queue];
        if ring.size == 0 {
            return 0;
        }
        self.driver
            .memory
            .read_obj::<u16>(GuestAddress(ring.used.wrapping_add(2)))
            .map_or(0, |used| used.min(ring.offered))
    }

    /// Has the event loop run, after a look at what the device will find.
    fn turn(&mut self) {
        let queues = self.driver.device().transport().queues;
        self.guard.look(&self.driver.memory, &queues, S::released);
        assert!(self.driver.turn() < MOST_EVENTS, "the device has no end");
    }

    /// Writes to memory as a driver, at `offset` from a place that may be anywhere, where there is memory.
    fn put(&mut self, from: u64, offset: u64, bytes: &[u8]) {
        let at = from.wrapping_add(offset);
        if self.driver.memory.check_range(GuestAddress(at), bytes.len()) {
            self.driver.put(at, bytes);
            self.guard.wrote(at, bytes);
        }
    }

    fn queues(&self) -> usize {
        self.driver.device().device().queue_sizes().len()
    }

    /// Resets the device, and sets it up, mostly as a driver should.
    fn start(&mut self, mutator: &mut Mutator, depth: &mut Depth) {
        self.turn();
        self.count(depth);
        self.driver.write(STATUS, 0);
        self.driver.write(STATUS, ACKNOWLEDGE);
        self.driver.write(STATUS, ACKNOWLEDGE | DRIVER);
        let mut features = [0, 1].map(|half| {
            self.driver.write(DEVICE_FEATURES_SELECT, half);
            self.driver.read(DEVICE_FEATURES)
        });
        match mutator.below(16) {
            0 => features[mutator.below(2)] ^= 1 << mutator.below(32),
            1..8 => features[0] &= mutator.next() as u32,
            _ => {}
        }
        for (half, features) in (0..).zip(features) {
            self.driver.write(DRIVER_FEATURES_SELECT, half);
            self.driver.write(DRIVER_FEATURES, features);
        }
        self.driver.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        self.rings = [Ring::default(); QUEUES];
        let queues = self.queues();
        let first = mutator.below(4 * queues);
        for queue in 0..queues {
            // A driver may take them in any order, and leave some out.
            let queue = if first < queues { (first + queue) % queues } else { queue };
            if mutator.below(32) > 0 {
                self.set_up(queue, mutator);
            }
        }
        if mutator.below(16) > 0 {
            self.driver.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        }
    }

    fn set_up(&mut self, queue: usize, mutator: &mut Mutator) {
        self.driver.write(QUEUE_SELECT, queue as u32);
        let most = self.driver.read(QUEUE_SIZE_MAX);
        let base = FIRST_QUEUE + QUEUE_BYTES * queue as u64;
        let mut size = 1 << mutator.below(most.max(1).ilog2() as usize + 1);
        if mutator.below(2) == 0 {
            size = size.min(16);
        }
        let mut parts = [base, base + AVAIL, base + USED];
        match mutator.below(96) {
            0 => size = [0, 3, 12, 1024, 32768, 65535, 65536, u32::MAX][mutator.below(8)],
            1 => parts[mutator.below(3)] = self.place(mutator),
            // One over the other, or over what another queue has.
            2 => parts[mutator.below(3)] = parts[mutator.below(3)],
            3 => parts[mutator.below(3)] ^= QUEUE_BYTES,
            // Across two regions, and across the end of memory.
            4 => parts[mutator.below(3)] = REGIONS[0].end - 16,
            5 => parts[mutator.below(3)] = REGIONS[1].end - 16,
            6 => parts[mutator.below(3)] |= mutator.next() & 0xf,
            _ => {}
        }
        self.put(base, 0, &[0; QUEUE_BYTES as usize]);
        self.driver.write(QUEUE_SIZE, size);
        let registers = [
            (QUEUE_DESC_LOW, QUEUE_DESC_HIGH),
            (QUEUE_DRIVER_LOW, QUEUE_DRIVER_HIGH),
            (QUEUE_DEVICE_LOW, QUEUE_DEVICE_HIGH),
        ];
        for ((low, high), part) in registers.into_iter().zip(parts) {
            self.driver.write(low, part as u32);
            self.driver.write(high, (part >> 32) as u32);
        }
        self.driver.write(QUEUE_READY, 1);
        if mutator.below(16) == 0 {
            self.driver.write(QUEUE_READY, mutator.below(3) as u32);
        }
        let [desc, avail, used] = parts;
        let size = u16::try_from(size).unwrap_or(1).max(1);
        self.rings[queue] = Ring { size, desc, avail, used, given: 0, offered: 0 };
    }

    /// A queue is set up while the device is at work on it, or in the middle of everything.
    fn set_up_again(&mut self, mutator: &mut Mutator) {
        let queue = mutator.below(self.queues());
        if mutator.below(2) == 0 {
            return self.set_up(queue, mutator);
        }
        self.driver.write(QUEUE_SELECT, [queue as u32, 99, u32::MAX][mutator.below(3)]);
        let register = (QUEUE_SIZE_MAX + 4 * mutator.below(32) as u64).min(QUEUE_DEVICE_HIGH);
        if register != QUEUE_NOTIFY && register != STATUS {
            self.driver.write(register, mutator.below(3) as u32);
        }
    }

    /// Notifications of queues that there are and of others, more than anybody needs.
    fn storm(&mut self, mutator: &mut Mutator) {
        for _ in 0..mutator.below(200) {
            let queue =
                [mutator.below(self.queues()) as u32, 70_000, u32::MAX][mutator.below(12).saturating_sub(9)];
            self.driver.write(QUEUE_NOTIFY, queue);
        }
        self.turn();
    }

    /// An access of any width at any offset.
    fn access(&mut self, mutator: &mut Mutator) {
        let offset = match mutator.below(4) {
            0 => mutator.next(),
            1 => mutator.below(0x1000) as u64,
            _ => 4 * mutator.below(0x50) as u64,
        };
        let width = [1, 2, 4, 8][mutator.below(4)];
        let mut data = mutator.next().to_le_bytes();
        // It may reset the device, and set it up to be something else.
        self.turn();
        if mutator.below(2) == 0 {
            self.driver.device().read(offset, &mut data[..width]);
        } else {
            self.driver.device().write(offset, &data[..width]);
        }
    }

    fn configure(&mut self, mutator: &mut Mutator) {
        let offset = CONFIG + mutator.below(80) as u64;
        let mut data = mutator.next().to_le_bytes();
        let width = 1 + mutator.below(8);
        self.driver.device().write(offset, &data[..width]);
        self.driver.device().read(offset, &mut data[..width]);
        self.driver.read(CONFIG_GENERATION);
        self.driver.write(INTERRUPT_ACK, mutator.next() as u32);
    }

    /// Writes to a ring or a table what does not belong there.
    fn scribble(&mut self, mutator: &mut Mutator) {
        let ring = self.rings[mutator.below(self.queues())];
        let word =
            [0, 1, 0xffff, 0x8000, ring.offered, ring.offered.wrapping_add(ring.size)][mutator.below(6)];
        let (part, offset) = match mutator.below(6) {
            // Flags, index, an entry, the event's index.
            0 => (ring.avail, 0),
            1 => (ring.avail, 2),
            2 => (ring.avail, 4 + 2 * mutator.below(ring.size.into())),
            3 => (ring.avail, 4 + 2 * usize::from(ring.size)),
            4 => (ring.used, 2),
            _ => (ring.desc, 2 * mutator.below(8 * usize::from(ring.size))),
        };
        self.put(part, offset as u64, &word.to_le_bytes());
    }

    /// Makes a request available: a right one, or one that is wrong somewhere.
    fn offer(&mut self, mutator: &mut Mutator) {
        let queue = mutator.below(self.queues());
        let Request { mut says, room } = self.subject.request(queue, mutator);
        if mutator.below(6) == 0 {
            says = mutator.mutate(&[says]);
        }
        let ring = self.rings[queue];
        let mut chain = Vec::new();
        let mut at = TO_READ.start + self.places % 20 * 0x4000;
        for piece in pieces(says.len(), mutator) {
            self.put(at, 0, &says[piece.clone()]);
            chain.push([at, piece.len() as u64, 0, 0]);
            at += piece.len() as u64 + mutator.below(2) as u64;
        }
        let to = &TO_WRITE[mutator.below(4) % 2];
        let mut at = to.start + self.places % 7 * 0x4000;
        for piece in pieces(room, mutator) {
            if at + piece.len() as u64 > to.end {
                break;
            }
            chain.push([at, piece.len() as u64, WRITE.into(), 0]);
            at += piece.len() as u64 + mutator.below(2) as u64;
        }
        self.places += 1;
        let is_indirect = mutator.below(3) == 0 || chain.len() > usize::from(ring.size);
        let first = if is_indirect { 0 } else { ring.given };
        let size = if is_indirect { u16::MAX } else { ring.size.max(1) };
        let count = chain.len();
        for (index, one) in chain.iter_mut().enumerate() {
            if index + 1 < count {
                one[2] |= u64::from(NEXT);
            }
            one[3] = u64::from((first.wrapping_add(index as u16 + 1)) % size);
        }
        if mutator.below(10) == 0 {
            self.tamper(&mut chain, mutator);
        }
        if is_indirect {
            let table = TABLES.start + self.places % 32 * 0x400;
            let bytes: Vec<u8> = chain.iter().flat_map(descriptor).collect();
            self.put(table, 0, &bytes);
            chain = vec![[table, bytes.len() as u64, INDIRECT.into(), 0]];
            if mutator.below(12) == 0 {
                self.tamper(&mut chain, mutator);
            }
        }
        for (index, one) in chain.iter().enumerate() {
            let index = u64::from(ring.given.wrapping_add(index as u16) % ring.size.max(1));
            self.put(ring.desc, 16 * index, &descriptor(one).collect::<Vec<_>>());
        }
        let head = ring.given % ring.size.max(1);
        let entry = u64::from(ring.offered % ring.size.max(1));
        self.put(ring.avail, 4 + 2 * entry, &head.to_le_bytes());
        let ring = &mut self.rings[queue];
        ring.given = ring.given.wrapping_add(chain.len() as u16);
        ring.offered = ring.offered.wrapping_add(1);
        let (avail, offered) = (ring.avail, ring.offered);
        self.put(avail, 2, &offered.to_le_bytes());
        if mutator.below(4) > 0 {
            self.driver.write(QUEUE_NOTIFY, queue as u32);
        }
        if mutator.below(3) > 0 {
            self.turn();
        }
    }

    /// Makes something of a chain wrong.
    fn tamper(&self, chain: &mut [[u64; 4]], mutator: &mut Mutator) {
        let at = mutator.below(chain.len());
        let place = self.place(mutator);
        let Some(one) = chain.get_mut(at) else { return };
        match mutator.below(8) {
            0 | 1 => one[0] = place,
            2 | 3 => {
                one[1] = [0, 1, 15, 17, 4096, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff][mutator.below(8)];
            }
            4 => one[2] ^= 1 << mutator.below(3),
            5 => one[2] = mutator.next() & 0xffff,
            // Into itself, around, or out of the table.
            6 => (one[2], one[3]) = (one[2] | u64::from(NEXT), mutator.below(at + 2) as u64),
            _ => one[3] = mutator.next() & 0xffff,
        }
    }

    /// An address that no driver in its right mind gives, or one that is something else's.
    fn place(&self, mutator: &mut Mutator) -> u64 {
        let ring = self.rings[mutator.below(self.queues())];
        let places = [
            0,
            8,
            ring.desc,
            ring.avail,
            ring.used,
            TABLES.start,
            REGIONS[0].end - 8,
            REGIONS[1].end - 8,
            REGIONS[1].end,
            REGIONS[2].start - 1,
            REGIONS[2].end - 1,
            u64::MAX,
            u64::MAX - 15,
            1 << 63,
            TO_READ.start + 1,
        ];
        let place = places[mutator.below(places.len())];
        assert!(!UNNAMED.contains(&place) || place == REGIONS[2].end - 1);
        place
    }
}

/// The bytes of a descriptor: address, length, flags, next.
fn descriptor(one: &[u64; 4]) -> impl Iterator<Item = u8> + use<> {
    let [at, len, flags, next] = *one;
    let rest = (len as u32).to_le_bytes().into_iter().chain((flags as u16).to_le_bytes());
    at.to_le_bytes().into_iter().chain(rest).chain((next as u16).to_le_bytes())
}

/// Up to four parts of `len` bytes, none empty.
fn pieces(len: usize, mutator: &mut Mutator) -> Vec<Range<usize>> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < len {
        let is_last = parts.len() == 3 || mutator.below(2) == 0;
        let end = if is_last { len } else { at + 1 + mutator.below(len - at) };
        parts.push(at..end);
        at = end;
    }
    parts
}
