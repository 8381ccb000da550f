//! A driver's side of any virtio device, for its tests: queues in memory of its own, and an event loop that turns on
//! demand.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use event_manager::{EventManager, SubscriberOps};
use virtio_bindings::virtio_ring::{VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, bitmap::Bitmap};

use super::{VirtioDevice, VirtioMmio, registers::*};
use crate::{Counters, Device, GuestMemory, Irq, Lifecycle, MmioDevice};

/// Flag of a descriptor: the device writes.
pub const WRITE: u16 = VRING_DESC_F_WRITE as u16;
const NEXT: u16 = VRING_DESC_F_NEXT as u16;
const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;
/// Entries of each queue, unless a driver takes others.
pub const SIZE: u16 = 16;
/// Most queues of a device.
pub const QUEUES: usize = 17;
/// First byte behind the queues: buffers go here.
pub const BUFFERS: u64 = 0x10_0000;
const MEMORY_BYTES: usize = 4 << 20;
/// Longest wait for something that a timer or another thread brings about.
const PATIENCE: Duration = Duration::from_secs(20);

type Shared<D> = Arc<Mutex<VirtioMmio<D>>>;

/// A device with a driver that is at work on it.
pub struct Driver<D: VirtioDevice + 'static> {
    device: Shared<D>,
    pub irq: Irq,
    pub memory: GuestMemory,
    events: EventManager<Shared<D>>,
    /// Used elements seen of each queue, and descriptors given out.
    seen: [u16; QUEUES],
    given: [u16; QUEUES],
    sizes: [u16; QUEUES],
}

/// Room for a queue of 1024 entries.
const QUEUE_BYTES: u64 = 0x8000;

/// Where a queue's table is; its rings are behind.
const fn table(queue: usize) -> u64 {
    0x1_0000 + QUEUE_BYTES * queue as u64
}

const fn avail(queue: usize) -> u64 {
    table(queue) + 0x4000
}

const fn used(queue: usize) -> u64 {
    table(queue) + 0x5000
}

/// Where the indirect table of a chain of the queue is, of which there is one at a time.
const fn indirect(queue: usize) -> u64 {
    table(queue) + 0x7800
}

impl<D: VirtioDevice + 'static> Driver<D> {
    /// A device that has no driver yet, resumed.
    pub fn idle(device: D) -> Self {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap();
        Self::in_memory(device, memory)
    }

    /// As [`idle`](Self::idle), in memory that reaches beyond [`BUFFERS`].
    pub fn in_memory(device: D, memory: GuestMemory) -> Self {
        let irq = Irq::new().unwrap();
        let device = VirtioMmio::new("it0", device, memory.clone(), irq.clone()).unwrap();
        let device = Arc::new(Mutex::new(device));
        let mut events = EventManager::new().unwrap();
        events.add_subscriber(device.clone());
        let driver = Self {
            device,
            irq,
            memory,
            events,
            seen: [0; QUEUES],
            given: [0; QUEUES],
            sizes: [SIZE; QUEUES],
        };
        driver.device().resume();
        driver
    }

    /// A device whose driver uses `features` and all queues.
    pub fn ready(device: D, features: u64) -> Self {
        let mut driver = Self::idle(device);
        driver.start(features);
        driver
    }

    /// The same memory and driver, with `device` in the place of the old one, which is paused and saved into it.
    pub fn moved_to(mut self, device: D) -> Self {
        self.move_to(device);
        self
    }

    /// As [`moved_to`](Self::moved_to), in place.
    pub fn move_to(&mut self, device: D) {
        self.device().pause();
        let saved = self.device().save_section().unwrap();
        let mut target = Self::in_memory(device, self.memory.clone());
        target.device().pause();
        target.device().restore_section(&saved).unwrap();
        assert_eq!(target.device().save_section().unwrap(), saved, "it is not the same");
        (target.seen, target.given, target.sizes) = (self.seen, self.given, self.sizes);
        target.device().resume();
        *self = target;
    }

    pub fn device(&self) -> MutexGuard<'_, VirtioMmio<D>> {
        self.device.lock().unwrap()
    }

    pub fn read(&self, offset: u64) -> u32 {
        let mut word = [0; 4];
        self.device().read(offset, &mut word);
        u32::from_le_bytes(word)
    }

    pub fn write(&self, offset: u64, value: u32) {
        self.device().write(offset, &value.to_le_bytes());
    }

    /// Bytes of the configuration space.
    pub fn config<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut bytes = [0x55; N];
        self.device().read(CONFIG + offset, &mut bytes);
        bytes
    }

    /// Negotiates, sets all queues up, and says that the driver is ready.
    pub fn start(&mut self, features: u64) {
        self.start_with(features, SIZE);
    }

    /// As [`start`](Self::start), with queues of `size` entries, or as many as they may have.
    pub fn start_with(&mut self, features: u64, size: u16) {
        (self.seen, self.given) = ([0; QUEUES], [0; QUEUES]);
        self.memory.write_slice(&[0; QUEUE_BYTES as usize * QUEUES], GuestAddress(table(0))).unwrap();
        self.write(STATUS, ACKNOWLEDGE | DRIVER);
        for half in [0, 1] {
            self.write(DRIVER_FEATURES_SELECT, half);
            self.write(DRIVER_FEATURES, ((features | F_VERSION_1) >> (32 * half)) as u32);
        }
        self.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        assert!(self.read(STATUS) & FEATURES_OK != 0, "features {features:#x}");
        for queue in 0..QUEUES {
            self.write(QUEUE_SELECT, queue as u32);
            let most = self.read(QUEUE_SIZE_MAX);
            if most == 0 {
                break;
            }
            self.sizes[queue] = u32::from(size).min(most) as u16;
            self.write(QUEUE_SIZE, self.sizes[queue].into());
            self.write(QUEUE_DESC_LOW, table(queue) as u32);
            self.write(QUEUE_DRIVER_LOW, avail(queue) as u32);
            self.write(QUEUE_DEVICE_LOW, used(queue) as u32);
            self.write(QUEUE_READY, 1);
        }
        self.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        self.turn();
    }

    pub fn load(&self, address: u64) -> u16 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }

    pub fn store(&self, address: u64, value: u16) {
        self.memory.write_obj(value, GuestAddress(address)).unwrap();
    }

    /// Makes a chain of (address, length, flags) available, without notifying; says its head. A chain that is longer than
    /// the queue goes by an indirect table.
    pub fn offer(&mut self, queue: usize, chain: &[(u64, u32, u16)]) -> u16 {
        let size = self.sizes[queue];
        let head = self.given[queue] % size;
        if chain.len() > usize::from(size) {
            self.describe(indirect(queue), u16::MAX, 0, chain);
            let bytes = 16 * chain.len() as u32;
            self.describe(table(queue), size, head, &[(indirect(queue), bytes, INDIRECT)]);
            self.given[queue] = self.given[queue].wrapping_add(1);
        } else {
            self.describe(table(queue), size, head, chain);
            self.given[queue] = self.given[queue].wrapping_add(chain.len() as u16);
        }
        self.publish(queue, head);
        head
    }

    /// Writes a chain to a table of `size` entries, from `head` on.
    fn describe(&self, table: u64, size: u16, head: u16, chain: &[(u64, u32, u16)]) {
        for (place, (address, len, flags)) in (0..).zip(chain) {
            let index = head.wrapping_add(place) % size;
            let more = if usize::from(place) + 1 < chain.len() { NEXT } else { 0 };
            let descriptor = Descriptor::new(*address, *len, flags | more, (index + 1) % size);
            self.memory.write_obj(descriptor, GuestAddress(table + 16 * u64::from(index))).unwrap();
        }
    }

    /// Makes `head` available, whatever is there.
    pub fn publish(&self, queue: usize, head: u16) {
        let index = self.load(avail(queue) + 2);
        self.store(avail(queue) + 4 + 2 * u64::from(index % self.sizes[queue]), head);
        self.store(avail(queue) + 2, index.wrapping_add(1));
    }

    /// Says when the driver wants to be interrupted, where it uses event indices.
    pub fn interrupt_after(&self, queue: usize, index: u16) {
        self.store(avail(queue) + 4 + 2 * u64::from(self.sizes[queue]), index);
    }

    /// When the device wants to be notified, where the driver uses event indices.
    pub fn avail_event(&self, queue: usize) -> u16 {
        self.load(used(queue) + 4 + 8 * u64::from(self.sizes[queue]))
    }

    /// Notifies, and runs the device's side until it is quiet.
    pub fn notify(&mut self, queue: usize) -> usize {
        self.write(QUEUE_NOTIFY, queue as u32);
        self.turn()
    }

    /// Runs the device's side until it is quiet; says how many events there were.
    pub fn turn(&mut self) -> usize {
        let events = &mut self.events;
        let turns = std::iter::from_fn(|| Some(events.run_with_timeout(0).unwrap()));
        turns.take(1_000).take_while(|events| *events > 0).sum()
    }

    /// Runs the device's side until `what` gives something, which it must.
    pub fn turn_until<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = what(self) {
                return found;
            }
            assert!(Instant::now() < end, "it does not happen");
            self.events.run_with_timeout(20).unwrap();
        }
    }

    /// Heads and lengths that were used since the last call.
    pub fn used(&mut self, queue: usize) -> Vec<(u16, u32)> {
        let until = self.load(used(queue) + 2);
        let size = self.sizes[queue];
        let element = |index: u16| {
            let at = used(queue) + 4 + 8 * u64::from(index % size);
            let [head, len]: [u32; 2] =
                [0, 4].map(|offset| self.memory.read_obj(GuestAddress(at + offset)).unwrap());
            (head as u16, len)
        };
        let count = until.wrapping_sub(self.seen[queue]);
        let elements = (0..count).map(|n| element(self.seen[queue].wrapping_add(n))).collect();
        self.seen[queue] = until;
        elements
    }

    pub fn put(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    pub fn needs_reset(&self) -> bool {
        self.read(STATUS) & NEEDS_RESET != 0
    }

    /// What the device has counted.
    pub fn counters(&self) -> Counters {
        self.device().counters()
    }

    pub fn interrupted(&self) -> bool {
        self.irq.event().read().is_ok()
    }

    /// Forgets which pages were written.
    pub fn clean(&self) {
        self.memory.find_region(GuestAddress(0)).unwrap().get_mmap().bitmap().reset();
    }

    /// Numbers of the pages of 4 KiB that were written.
    pub fn dirty(&self) -> Vec<u64> {
        let region = self.memory.find_region(GuestAddress(0)).unwrap();
        (0..MEMORY_BYTES >> 12)
            .filter(|page| region.bitmap().dirty_at(page << 12))
            .map(|page| page as u64)
            .collect()
    }

    /// The pages that hold the device's side of a queue.
    pub fn used_page(queue: usize) -> u64 {
        used(queue) >> 12
    }
}
