//! How the vCPU's side of a port tells the event loop's side that input can be taken again.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use vm_superio::serial::SerialEvents;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// Tells the event loop when input can be taken again.
pub struct Waker {
    event: EventFd,
    /// Somebody waits to be told. Keeps a guest that reads an empty FIFO all day from costing a system call each.
    wanted: AtomicBool,
}

impl Waker {
    pub fn new() -> io::Result<Self> {
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        Ok(Self { event, wanted: AtomicBool::new(false) })
    }

    /// Readable after a wake-up.
    pub fn event(&self) -> &EventFd {
        &self.event
    }

    /// Says whether the event loop waits to be told.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }

    pub fn wake(&self) {
        // A full counter means that the loop has a wake-up waiting already.
        let _ = self.event.write(1);
    }

    pub fn wake_if_wanted(&self) {
        if self.wanted.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }
}

/// What the UART tells us: here, that the guest has emptied the FIFO.
pub struct Drained(pub Arc<Waker>);

impl SerialEvents for Drained {
    fn buffer_read(&self) {}

    fn out_byte(&self) {}

    fn tx_lost_byte(&self) {}

    fn in_buffer_empty(&self) {
        self.0.wake_if_wanted();
    }
}
