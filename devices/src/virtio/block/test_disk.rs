//! A disk under test, and a driver for it: a queue in memory, requests that are made and waited for.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use event_manager::{EventManager, MutEventSubscriber, SubscriberOps};
use virtio_bindings::virtio_ring::{VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::tempfile::TempFile;

use super::{Block, DiskConfig};
use crate::{GuestMemory, Irq, Lifecycle, MmioDevice, Shared, virtio::VirtioMmio, virtio::registers::*};

pub const WRITE: u16 = VRING_DESC_F_WRITE as u16;
pub const NEXT: u16 = VRING_DESC_F_NEXT as u16;
pub const SIZE: u16 = 16;
/// Room of a queue: descriptors, available ring, used ring, a page each.
const QUEUE: u64 = 0x1_0000;
const AVAIL: u64 = 0x1000;
const USED: u64 = 0x2000;
/// Where headers, statuses and data are.
const HEADERS: u64 = 0x10_0000;
const STATUSES: u64 = 0x11_0000;
pub const DATA: u64 = 0x20_0000;
pub const MEMORY_BYTES: usize = 8 << 20;
/// A status that no device writes.
const NO_STATUS: u8 = 0x55;
/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A disk behind its transport, with its event loop.
pub struct Disk {
    pub device: Shared<VirtioMmio<Block>>,
    pub memory: GuestMemory,
    pub irq: Irq,
    pub image: TempFile,
    events: EventManager<Box<dyn MutEventSubscriber + Send>>,
}

/// Address, length, flags.
pub type Buffer = (u64, u32, u16);

impl Disk {
    /// A disk of `sectors` sectors whose driver is ready, after `change` of its configuration.
    pub fn ready(sectors: u64, features: u64, change: impl FnOnce(&mut DiskConfig)) -> Self {
        let mut disk = Self::fresh(sectors, change);
        disk.set_up(features);
        disk
    }

    /// As [`ready`](Self::ready), before the driver has done anything.
    pub fn fresh(sectors: u64, change: impl FnOnce(&mut DiskConfig)) -> Self {
        let image = TempFile::new().unwrap();
        image.as_file().set_len(sectors * 512).unwrap();
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap();
        let mut config = DiskConfig::new(image.as_path());
        config.queue_size = SIZE;
        change(&mut config);
        Self::over(image, memory, &config)
    }

    /// A disk of `config` with this memory, resumed.
    pub fn over(image: TempFile, memory: GuestMemory, config: &DiskConfig) -> Self {
        let irq = Irq::new().unwrap();
        let block = Block::open(config).unwrap();
        let device = VirtioMmio::new("disk0", block, memory.clone(), irq.clone()).unwrap();
        let device = Arc::new(Mutex::new(device));
        let mut events = EventManager::<Box<dyn MutEventSubscriber + Send>>::new().unwrap();
        events.add_subscriber(Box::new(device.clone()));
        device.lock().unwrap().resume();
        Self { device, memory, irq, image, events }
    }

    pub fn read(&self, offset: u64) -> u32 {
        let mut word = [0; 4];
        self.device.lock().unwrap().read(offset, &mut word);
        u32::from_le_bytes(word)
    }

    pub fn write(&self, offset: u64, value: u32) {
        self.device.lock().unwrap().write(offset, &value.to_le_bytes());
    }

    /// The driver's part up to DRIVER_OK, with queue `n` at `n + 1` times [`QUEUE`].
    pub fn set_up(&mut self, features: u64) {
        for status in [0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER] {
            self.write(STATUS, status);
        }
        let features = features | F_VERSION_1;
        for half in [0, 1] {
            self.write(DRIVER_FEATURES_SELECT, half);
            self.write(DRIVER_FEATURES, (features >> (32 * half)) as u32);
        }
        self.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        assert!(self.read(STATUS) & FEATURES_OK != 0);
        for queue in 0..16 {
            self.write(QUEUE_SELECT, queue);
            if self.read(QUEUE_SIZE_MAX) == 0 {
                break;
            }
            let base = QUEUE * u64::from(queue + 1);
            self.memory.write_slice(&[0; QUEUE as usize], GuestAddress(base)).unwrap();
            self.write(QUEUE_SIZE, SIZE.into());
            self.write(QUEUE_DESC_LOW, base as u32);
            self.write(QUEUE_DRIVER_LOW, (base + AVAIL) as u32);
            self.write(QUEUE_DEVICE_LOW, (base + USED) as u32);
            self.write(QUEUE_READY, 1);
        }
        self.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    fn load(&self, address: u64) -> u16 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }

    /// Makes the chain of `buffers`, whose descriptors begin at `head`, available in `queue`, and notifies.
    pub fn offer(&self, queue: u32, head: u16, buffers: &[Buffer]) {
        let base = QUEUE * u64::from(queue + 1);
        for (index, (address, len, flags)) in (head..).zip(buffers) {
            let last = usize::from(index - head) + 1 == buffers.len();
            let flags = if last { *flags } else { flags | NEXT };
            let descriptor = Descriptor::new(*address, *len, flags, index + 1);
            self.memory.write_obj(descriptor, GuestAddress(base + 16 * u64::from(index))).unwrap();
        }
        let next = self.load(base + AVAIL + 2);
        let place = base + AVAIL + 4 + 2 * u64::from(next % SIZE);
        self.memory.write_obj(head, GuestAddress(place)).unwrap();
        self.memory.write_obj(next.wrapping_add(1), GuestAddress(base + AVAIL + 2)).unwrap();
        self.write(QUEUE_NOTIFY, queue);
    }

    /// Offers a request with its header and status; `head` is a multiple of 4.
    pub fn ask(&self, queue: u32, head: u16, kind: u32, sector: u64, data: &[Buffer]) {
        let slot = u64::from(queue) * 0x100 + u64::from(head);
        let (header, status) = (HEADERS + slot * 16, STATUSES + slot);
        self.memory.write_obj([kind, 0], GuestAddress(header)).unwrap();
        self.memory.write_obj(sector, GuestAddress(header + 8)).unwrap();
        self.memory.write_obj(NO_STATUS, GuestAddress(status)).unwrap();
        let buffers: Vec<_> = [&[(header, 16, 0)], data, &[(status, 1, WRITE)]].concat();
        self.offer(queue, head, &buffers);
    }

    pub fn status(&self, queue: u32, head: u16) -> u8 {
        self.memory.read_obj(GuestAddress(STATUSES + u64::from(queue) * 0x100 + u64::from(head))).unwrap()
    }

    /// Requests of `queue` that were answered.
    pub fn used(&self, queue: u32) -> u16 {
        self.load(QUEUE * u64::from(queue + 1) + USED + 2)
    }

    /// Head and length of answer `index` of queue 0.
    pub fn answer(&self, index: u64) -> [u32; 2] {
        self.memory.read_obj(GuestAddress(QUEUE + USED + 4 + 8 * index)).unwrap()
    }

    /// Runs the event loop until `done` says so.
    pub fn turn_until(&mut self, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "the device does not answer");
            self.events.run_with_timeout(100).unwrap();
        }
    }

    /// Runs the event loop until it is quiet; says how many events there were.
    pub fn turn(&mut self) -> usize {
        let turns = std::iter::repeat_with(|| self.events.run_with_timeout(0).unwrap());
        turns.take(1_000).take_while(|events| *events > 0).sum()
    }

    /// Runs the event loop once: the device takes what it was asked for by now.
    pub fn turn_once(&mut self) {
        self.events.run_with_timeout(0).unwrap();
    }

    /// Does one request in queue 0, and gives its status.
    pub fn request(&mut self, kind: u32, sector: u64, data: &[Buffer]) -> u8 {
        let before = self.used(0);
        self.ask(0, 0, kind, sector, data);
        self.turn_until(|disk| disk.used(0) != before);
        self.status(0, 0)
    }

    pub fn image_bytes(&self) -> Vec<u8> {
        fs::read(self.image.as_path()).unwrap()
    }

    pub fn put(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub fn get(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    pub fn needs_reset(&self) -> bool {
        self.read(STATUS) & NEEDS_RESET != 0
    }
}
