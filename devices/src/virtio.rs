//! Virtio: what a device is to the transport, and the transport and devices there are (virtio 1.2).
//!
//! A [`VirtioDevice`] knows its kind of work only: it is handed a queue when the driver has put something there.
//! [`VirtioMmio`] does all the rest for it: registers, negotiation, queue set-up, interrupts, save and restore.
//! Nothing here knows about the machine around it.

mod chain;
mod mmio;
#[cfg(test)]
mod mmio_test;
mod queue;
mod registers;
mod rng;
#[cfg(test)]
mod rng_test;
mod state;
mod sys;

use godwit_state::Save;
use thiserror::Error;
use virtio_queue::Queue;

pub use self::{
    mmio::VirtioMmio,
    queue::Served,
    registers::{MMIO_WINDOW_BYTES, NOTIFY_OFFSET},
    rng::{Rng, RngState},
    state::{QueueState, TransportState, VirtioState},
};
use crate::GuestMemory;

/// What the driver, or the host, did that ends a device's work until the driver resets it.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A ring index or address that no driver in its right mind writes.
    #[error("its queue is broken: {0}")]
    Queue(#[from] virtio_queue::Error),
    /// A descriptor chain that breaks the rules.
    #[error("the driver gave a descriptor chain that {0}")]
    Chain(&'static str),
    /// The host could not do what the device exists for.
    #[error("the host failed it: {0}")]
    Host(#[from] std::io::Error),
}

/// A device behind a virtio transport. All calls come under one lock, `serve` from the event loop's thread.
pub trait VirtioDevice: Save + Send {
    /// Device type (§5): 4 is an entropy source.
    fn device_type(&self) -> u32;

    /// Feature bits of the device itself (bits 0 to 23, 50 to 127 are its own); the transport adds those of the rings.
    fn features(&self) -> u64;

    /// Largest size of each of its queues, powers of two.
    fn queue_sizes(&self) -> &'static [u16];

    /// Fills `data` from the configuration space at `offset`.
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// Takes `data` for the configuration space at `offset`.
    fn write_config(&mut self, offset: u64, data: &[u8]);

    /// Changes whenever the configuration space has changed by the device's own doing.
    fn config_generation(&self) -> u32;

    /// The driver is ready (DRIVER_OK) and has accepted `features`; also called before the restore of such a device.
    fn activate(&mut self, features: u64);

    /// The driver has reset the device: back to as it was made.
    fn reset(&mut self);

    /// Serves queue number `index`, of which there may be something or nothing new. A bounded amount of work: what
    /// is left is announced by [`Served::more`].
    ///
    /// # Errors
    /// [`ServeError`]; the transport then asks the driver for a reset (DEVICE_NEEDS_RESET).
    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError>;

    /// Ends work in flight; when this returns, guest memory and queues are left alone until `resume`.
    fn pause(&mut self);

    /// Takes up work again; the transport serves every queue once afterwards.
    fn resume(&mut self);
}
