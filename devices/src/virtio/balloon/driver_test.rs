//! A driver of a balloon as the tests of it write one: 4 MiB of memory, queues of 16, and an event loop.

use std::sync::{Arc, Mutex};

use event_manager::{EventManager, SubscriberOps};
use virtio_bindings::virtio_ring::VRING_DESC_F_NEXT;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress};

use super::{Balloon, BalloonConfig};
use crate::{
    GuestMemory, Irq, Lifecycle, MmioDevice,
    virtio::{VirtioMmio, registers::*},
};

pub const MEMORY_BYTES: u64 = 4 << 20;
/// Where requests of the driver's can be.
pub const BUFFER: u64 = 0x10_0000;
pub const WRITE: u16 = 2;
const SIZE: u16 = 16;
/// Descriptors of a chain.
const CHAIN: u16 = 4;

/// Address of a queue's table, available ring and used ring.
fn parts(queue: u64) -> (u64, u64, u64) {
    let base = 0x1_0000 + queue * 0x1000;
    (base, base + 0x400, base + 0x800)
}

pub struct Driver {
    pub device: Arc<Mutex<VirtioMmio<Balloon>>>,
    pub memory: GuestMemory,
    pub irq: Irq,
    events: EventManager<Arc<Mutex<VirtioMmio<Balloon>>>>,
}

/// A device that nobody drives yet.
pub fn device(config: &str, memory: &GuestMemory, irq: &Irq) -> VirtioMmio<Balloon> {
    let config: BalloonConfig = config.parse().unwrap();
    VirtioMmio::new("balloon0", Balloon::new(&config), memory.clone(), irq.clone()).unwrap()
}

impl Driver {
    /// A driver that has accepted all that the device offers, and is ready.
    pub fn of(config: &str) -> Self {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), MEMORY_BYTES as usize)]).unwrap();
        let irq = Irq::new().unwrap();
        let mut device = device(config, &memory, &irq);
        device.resume();
        let mut driver = Self::on(device, memory, irq);
        driver.set_up();
        driver.turn();
        driver.interrupts();
        driver
    }

    /// A driver of a device that has seen one already.
    pub fn on(device: VirtioMmio<Balloon>, memory: GuestMemory, irq: Irq) -> Self {
        let device = Arc::new(Mutex::new(device));
        let mut events = EventManager::new().unwrap();
        events.add_subscriber(device.clone());
        Self { device, memory, irq, events }
    }

    pub fn set_up(&mut self) {
        self.write(STATUS, ACKNOWLEDGE | DRIVER);
        for half in [0, 1] {
            self.write(DEVICE_FEATURES_SELECT, half);
            self.write(DRIVER_FEATURES_SELECT, half);
            let rings = if half == 0 { (F_EVENT_IDX | F_INDIRECT) as u32 } else { 0 };
            let features = self.read(DEVICE_FEATURES) & !rings;
            self.write(DRIVER_FEATURES, features);
        }
        self.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        for queue in 0..5 {
            self.write(QUEUE_SELECT, queue);
            if self.read(QUEUE_SIZE_MAX) == 0 {
                continue;
            }
            let (table, available, used) = parts(queue.into());
            self.write(QUEUE_SIZE, SIZE.into());
            self.write(QUEUE_DESC_LOW, table as u32);
            self.write(QUEUE_DRIVER_LOW, available as u32);
            self.write(QUEUE_DEVICE_LOW, used as u32);
            self.write(QUEUE_READY, 1);
        }
        self.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    pub fn read(&self, offset: u64) -> u32 {
        let mut word = [0; 4];
        self.device.lock().unwrap().read(offset, &mut word);
        u32::from_le_bytes(word)
    }

    pub fn write(&self, offset: u64, value: u32) {
        self.device.lock().unwrap().write(offset, &value.to_le_bytes());
    }

    /// A word of the configuration space.
    pub fn config(&self, offset: u64) -> u32 {
        self.read(CONFIG + offset)
    }

    /// What the host does.
    pub fn host<T>(&self, what: impl FnOnce(&mut Balloon) -> T) -> T {
        self.device.lock().unwrap().update(what)
    }

    /// What the interrupt was for, acknowledged; 0 where there was none.
    pub fn interrupts(&self) -> u32 {
        let raised = self.irq.event().read().is_ok();
        let causes = self.read(INTERRUPT_STATUS);
        self.write(INTERRUPT_ACK, causes);
        if raised { causes } else { 0 }
    }

    /// Gives the device a chain: address, length and flags of each buffer. Four at a time may be there.
    pub fn offer(&mut self, queue: u32, buffers: &[(u64, u32, u16)]) {
        let (table, available, _) = parts(queue.into());
        let index: u16 = self.memory.read_obj(GuestAddress(available + 2)).unwrap();
        let head = CHAIN * (index % (SIZE / CHAIN));
        for (slot, (address, len, flags)) in (head..).zip(buffers) {
            let is_last = slot + 1 == head + buffers.len() as u16;
            let flags = flags | if is_last { 0 } else { VRING_DESC_F_NEXT as u16 };
            let descriptor = Descriptor::new(*address, *len, flags, slot + 1);
            self.memory.write_obj(descriptor, GuestAddress(table + 16 * u64::from(slot))).unwrap();
        }
        let ring = GuestAddress(available + 4 + 2 * u64::from(index % SIZE));
        self.memory.write_obj(head, ring).unwrap();
        self.memory.write_obj(index.wrapping_add(1), GuestAddress(available + 2)).unwrap();
        self.write(QUEUE_NOTIFY, queue);
        self.turn();
    }

    /// Gives the device bytes to read, at [`BUFFER`].
    pub fn send(&mut self, queue: u32, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(BUFFER)).unwrap();
        self.offer(queue, &[(BUFFER, bytes.len() as u32, 0)]);
    }

    pub fn send_words(&mut self, queue: u32, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.send(queue, &bytes);
    }

    /// Gives the device a block of memory.
    pub fn give(&mut self, queue: u32, start: u64, bytes: u32) {
        self.offer(queue, &[(start, bytes, WRITE)]);
    }

    /// Runs the event loop until it is quiet; says how many events there were.
    pub fn turn(&mut self) -> usize {
        let turns = std::iter::from_fn(|| Some(self.events.run_with_timeout(0).unwrap()));
        turns.take(1_000).take_while(|events| *events > 0).sum()
    }

    /// How many chains of a queue have come back.
    pub fn used(&self, queue: u32) -> u16 {
        self.memory.read_obj(GuestAddress(parts(queue.into()).2 + 2)).unwrap()
    }

    pub fn needs_reset(&self) -> bool {
        self.read(STATUS) & NEEDS_RESET != 0
    }

    /// Writes something to these pages.
    pub fn fill(&self, pages: std::ops::Range<u64>) {
        for page in pages {
            self.memory.write_slice(&[0xa5; 4096], GuestAddress(page * 4096)).unwrap();
        }
    }

    /// Whether a page holds what was written, or only zeros; anything else fails.
    pub fn is_filled(&self, page: u64) -> bool {
        let mut bytes = [0; 4096];
        self.memory.read_slice(&mut bytes, GuestAddress(page * 4096)).unwrap();
        assert!(bytes == [0; 4096] || bytes == [0xa5; 4096], "page {page:#x}");
        bytes[0] != 0
    }
}
