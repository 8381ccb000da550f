//! The virtio-mmio transport (virtio 1.2 §4.2): registers, the status dance, queue set-up, notifications, interrupts.
//!
//! The driver's notification is an eventfd per queue, which the machine may connect to KVM as ioeventfd; writing the
//! register does the same. Queues are served on the event loop's thread, never on a vCPU's. A driver that breaks the
//! rules is asked for a reset (DEVICE_NEEDS_RESET) and not served until it complies. Neighbours: [`super::queue`]
//! checks and serves queues, [`super::registers`] has the layout, [`events`] and
//! [`save`] have its life, the device is a [`VirtioDevice`].

mod events;
mod save;

use std::{io, ops::Range};

use virtio_queue::Queue;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::{ServeError, Served, VirtioDevice, queue::QueueSlot, registers::*};
use crate::{GuestMemory, Irq, MmioDevice};

/// What a device does with a queue.
type Work<D> = fn(&mut D, usize, &mut Queue, &GuestMemory) -> Result<Served, ServeError>;

/// A virtio device behind memory-mapped registers.
pub struct VirtioMmio<D> {
    instance: String,
    device: D,
    memory: GuestMemory,
    irq: Irq,
    status: u32,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    queue_select: u32,
    interrupt_status: u32,
    queues: Vec<QueueSlot>,
    notifiers: Vec<EventFd>,
    /// The queues to serve for each source that is watched.
    source_queues: Vec<Range<usize>>,
    paused: bool,
    /// One broken rule has been logged; a guest shall not fill the log with more.
    warned: bool,
}

impl<D: VirtioDevice> VirtioMmio<D> {
    /// Puts `device` behind registers; it works on `memory` and raises `irq`.
    ///
    /// # Errors
    /// Those of eventfd(2): out of descriptors or memory.
    pub fn new(instance: &str, device: D, memory: GuestMemory, irq: Irq) -> io::Result<Self> {
        let sizes = device.queue_sizes().to_vec();
        let notifier = |_| EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC);
        Ok(Self {
            instance: instance.into(),
            memory,
            irq,
            status: 0,
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            queue_select: 0,
            interrupt_status: 0,
            queues: sizes.iter().map(|size| QueueSlot::new(*size)).collect(),
            notifiers: sizes.iter().map(notifier).collect::<io::Result<_>>()?,
            source_queues: Vec::new(),
            paused: true,
            warned: false,
            device,
        })
    }

    /// Index and notification event of each queue: for an ioeventfd on 4 bytes at [`NOTIFY_OFFSET`] whose value is
    /// the index.
    pub fn notifiers(&self) -> impl Iterator<Item = (u32, &EventFd)> {
        (0..).zip(&self.notifiers)
    }

    /// The device, to be looked at.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device, for what neither the driver nor a queue has to do with.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Has the host change the device. The driver is told of a new configuration, and every queue is served once, since
    /// there may be work now.
    pub fn update<T>(&mut self, change: impl FnOnce(&mut D) -> T) -> T {
        let generation = self.device.config_generation();
        let changed = change(&mut self.device);
        self.tell_of_config(generation);
        self.notify_all();
        changed
    }

    fn offered_features(&self) -> u64 {
        self.device.features() | F_VERSION_1 | F_EVENT_IDX | F_INDIRECT
    }

    /// Whether the driver's features are among the offered and say that it is a modern driver.
    fn features_fit(&self, features: u64) -> bool {
        features & !self.offered_features() == 0 && features & F_VERSION_1 != 0
    }

    /// Whether driver and device are at work.
    fn is_active(&self) -> bool {
        self.status & (DRIVER_OK | NEEDS_RESET | FAILED) == DRIVER_OK
    }

    fn interrupt(&mut self, cause: u32) {
        self.interrupt_status |= cause;
        self.irq.raise();
    }

    /// The driver broke the rules, or the host failed: nothing more is served until the driver resets the device.
    fn ask_for_reset(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!("{}: {reason}; it stops until its driver resets it", self.instance);
        }
        self.status |= NEEDS_RESET;
        if self.status & DRIVER_OK != 0 {
            self.interrupt(INTERRUPT_CONFIG);
        }
    }

    /// Tells a driver that is at work of a configuration that is no longer that of `generation`.
    fn tell_of_config(&mut self, generation: u32) {
        if self.device.config_generation() != generation && self.is_active() {
            self.interrupt(INTERRUPT_CONFIG);
        }
    }

    fn serve(&mut self, index: usize) {
        if self.paused {
            // What was asked for is found by looking at the queue when work begins (again).
            return;
        }
        let generation = self.device.config_generation();
        self.work(index, D::serve);
        self.tell_of_config(generation);
    }

    /// Has the device do some of its `work` on a queue, if a driver is at work on it too.
    fn work(&mut self, index: usize, work: Work<D>) {
        if !self.is_active() {
            return;
        }
        let Some(queue) = self.queues.get_mut(index).and_then(|slot| slot.ready.as_mut()) else { return };
        match work(&mut self.device, index, queue, &self.memory) {
            Ok(served) => {
                if served.interrupt {
                    self.interrupt(INTERRUPT_USED);
                }
                if served.more {
                    self.notify(index);
                }
            }
            Err(error) => self.ask_for_reset(&error.to_string()),
        }
    }

    /// Has the event loop look at a queue.
    fn notify(&self, index: usize) {
        if let Some(notifier) = self.notifiers.get(index) {
            // A full counter means that a notification is pending already.
            let _ = notifier.write(1);
        }
    }

    fn notify_all(&self) {
        (0..self.notifiers.len()).for_each(|index| self.notify(index));
    }

    fn reset(&mut self) {
        self.device.reset();
        self.status = 0;
        self.device_features_select = 0;
        self.driver_features_select = 0;
        self.driver_features = 0;
        self.queue_select = 0;
        self.interrupt_status = 0;
        self.queues.iter_mut().for_each(|slot| *slot = QueueSlot::new(slot.max_size()));
    }

    /// The driver's write to the status register: it adds bits, never takes one back, or resets everything
    /// by zero (§2.1.1, §3.1.1).
    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset();
        }
        let added = value & STATUS_BITS & !NEEDS_RESET & !self.status;
        self.status |= added & (ACKNOWLEDGE | DRIVER | FAILED);
        if added & FEATURES_OK != 0 && self.features_fit(self.driver_features) {
            self.status |= FEATURES_OK;
        }
        if added & DRIVER_OK != 0 && self.status & FEATURES_OK != 0 {
            self.status |= DRIVER_OK;
            self.device.activate(self.driver_features);
            self.notify_all();
        }
    }

    fn set_driver_features(&mut self, value: u32) {
        if self.status & (DRIVER | FEATURES_OK) == DRIVER {
            match self.driver_features_select {
                0 => self.driver_features = self.driver_features & !u64::from(u32::MAX) | u64::from(value),
                1 => {
                    self.driver_features = self.driver_features & u64::from(u32::MAX) | u64::from(value) << 32
                }
                _ => {}
            }
        }
    }

    fn selected_queue(&self) -> Option<&QueueSlot> {
        self.queues.get(self.queue_select as usize)
    }

    /// Writes a register of the selected queue, which may change between FEATURES_OK and DRIVER_OK only.
    fn write_queue_register(&mut self, offset: u64, value: u32) {
        if self.status & (FEATURES_OK | DRIVER_OK | NEEDS_RESET | FAILED) != FEATURES_OK {
            return;
        }
        let event_idx = self.driver_features & F_EVENT_IDX != 0;
        let Some(slot) = self.queues.get_mut(self.queue_select as usize) else { return };
        match (offset, slot.ready.is_some()) {
            (QUEUE_READY, true) if value == 0 => slot.ready = None,
            (QUEUE_READY, false) if value == 1 => {
                if let Err(wrong) = slot.make_ready(&self.memory, event_idx, 0, 0) {
                    let reason = format!("queue {} cannot be used: {wrong}", self.queue_select);
                    self.ask_for_reset(&reason);
                }
            }
            (QUEUE_SIZE, false) => slot.size = value,
            (QUEUE_DESC_LOW, false) => set_low(&mut slot.desc, value),
            (QUEUE_DESC_HIGH, false) => set_high(&mut slot.desc, value),
            (QUEUE_DRIVER_LOW, false) => set_low(&mut slot.driver, value),
            (QUEUE_DRIVER_HIGH, false) => set_high(&mut slot.driver, value),
            (QUEUE_DEVICE_LOW, false) => set_low(&mut slot.device, value),
            (QUEUE_DEVICE_HIGH, false) => set_high(&mut slot.device, value),
            _ => {}
        }
    }

    fn read_register(&self, offset: u64) -> u32 {
        match offset {
            MAGIC_VALUE => MAGIC,
            LAYOUT_VERSION => VERSION,
            DEVICE_ID => self.device.device_type(),
            VENDOR_ID => VENDOR,
            DEVICE_FEATURES => match self.device_features_select {
                0 => self.offered_features() as u32,
                1 => (self.offered_features() >> 32) as u32,
                _ => 0,
            },
            QUEUE_SIZE_MAX => self.selected_queue().map_or(0, |slot| slot.max_size().into()),
            QUEUE_READY => self.selected_queue().is_some_and(|slot| slot.ready.is_some()).into(),
            INTERRUPT_STATUS => self.interrupt_status,
            STATUS => self.status,
            SHARED_MEMORY_LENGTH_LOW..=SHARED_MEMORY_BASE_HIGH => NO_SHARED_MEMORY,
            CONFIG_GENERATION => self.device.config_generation(),
            _ => 0,
        }
    }

    fn write_register(&mut self, offset: u64, value: u32) {
        match offset {
            DEVICE_FEATURES_SELECT => self.device_features_select = value,
            DRIVER_FEATURES_SELECT => self.driver_features_select = value,
            DRIVER_FEATURES => self.set_driver_features(value),
            QUEUE_SELECT => self.queue_select = value,
            QUEUE_NOTIFY => self.notify(value as usize),
            INTERRUPT_ACK => self.interrupt_status &= !value,
            STATUS => self.set_status(value),
            _ => self.write_queue_register(offset, value),
        }
    }
}

fn set_low(address: &mut u64, value: u32) {
    *address = *address & !u64::from(u32::MAX) | u64::from(value);
}

fn set_high(address: &mut u64, value: u32) {
    *address = *address & u64::from(u32::MAX) | u64::from(value) << 32;
}

impl<D: VirtioDevice> MmioDevice for VirtioMmio<D> {
    /// Registers are read in aligned words only (§4.2.2.2); anything else reads as zero.
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match (offset, data.len()) {
            (CONFIG.., _) => self.device.read_config(offset - CONFIG, data),
            (_, 4) => data.copy_from_slice(&self.read_register(offset).to_le_bytes()),
            _ => data.fill(0),
        }
    }

    /// Registers are written in aligned words only; anything else is ignored.
    fn write(&mut self, offset: u64, data: &[u8]) {
        if offset >= CONFIG {
            self.device.write_config(offset - CONFIG, data);
        } else if let Ok(word) = data.try_into() {
            self.write_register(offset, u32::from_le_bytes(word));
        }
    }
}
