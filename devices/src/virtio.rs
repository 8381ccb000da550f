//! Virtio: what a device is to the transport, and the transport and devices there are (virtio 1.2).
//!
//! A [`VirtioDevice`] knows its kind of work only: it is handed a queue when the driver has put something there.
//! [`VirtioMmio`] does all the rest for it: registers, negotiation, queue set-up, interrupts, save and restore.
//! Nothing here knows about the machine around it.

pub mod balloon;
mod block;
mod chain;
mod console;
#[cfg(test)]
mod driver_test;
#[cfg(test)]
mod fuzz_test;
mod mmio;
#[cfg(test)]
mod mmio_test;
mod net;
mod queue;
mod registers;
mod rng;
#[cfg(test)]
mod rng_test;
mod state;
mod used;
mod vsock;

use std::{ops::Range, os::fd::RawFd};

use godwit_state::Save;
use thiserror::Error;
use virtio_queue::Queue;
use vmm_sys_util::epoll::EventSet;

pub use self::{
    balloon::{Balloon, BalloonConfig, BalloonState},
    block::{
        Block, BlockState, DiskConfig, DiskError, ImageError, ImageType, MAX_DISK_QUEUE_SIZE,
        MAX_DISK_QUEUES, SERIAL_BYTES,
    },
    console::{Console, ConsoleError, ConsoleState, PortConfig, PortMode, PortState},
    mmio::VirtioMmio,
    net::{Mac, NET_KEYS, Net, NetConfig, NetError, NetState, Tap, TapError},
    queue::Served,
    registers::{MMIO_WINDOW_BYTES, NOTIFY_OFFSET},
    rng::{Rng, RngConfig, RngState},
    state::{QueueState, TransportState, VirtioState},
    vsock::{Vsock, VsockConfig, VsockError, VsockState},
};
#[cfg(test)]
pub(crate) use self::{
    fuzz_test::ATTACKED,
    net::{net_on_a_socket, net_with_wires},
    vsock::vsock_alone,
};
use crate::{Counters, GuestMemory};

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

/// A descriptor that a device waits for, besides the notifications of its queues: a tap, a timer, an eventfd of its
/// own threads.
#[derive(Clone, Debug)]
pub struct Source {
    /// The descriptor, which lives as long as the device.
    pub fd: RawFd,
    /// What it is watched for, edge-triggered.
    pub events: EventSet,
    /// The queues to serve when that happens.
    pub queues: Range<usize>,
}

impl Source {
    /// One that has `queue` served whenever there is something to read.
    #[must_use]
    pub fn to_read(fd: RawFd, queue: usize) -> Self {
        Self { fd, events: EventSet::IN, queues: queue..queue + 1 }
    }
}

/// A device behind a virtio transport. All calls come under one lock, `serve` from the event loop's thread.
pub trait VirtioDevice: Save + Send {
    /// Device type (§5): 4 is an entropy source.
    fn device_type(&self) -> u32;

    /// Feature bits of the device itself (bits 0 to 23, 50 to 127 are its own); the transport adds those of the rings.
    fn features(&self) -> u64;

    /// Largest size of each of its queues, powers of two.
    fn queue_sizes(&self) -> &[u16];

    /// What it waits for besides its queues: asked for once, when the machine starts. They are watched edge-triggered,
    /// and nothing is served while the device is paused or without a driver; `serve` comes for every queue when that
    /// ends. So `serve` looks for itself, takes all that is there or says [`Served::more`], and need not read an
    /// eventfd or a timer only to quieten it.
    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    /// Fills `data` from the configuration space at `offset`.
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// Takes `data` for the configuration space at `offset`.
    fn write_config(&mut self, offset: u64, data: &[u8]);

    /// Changes whenever the configuration space has changed by the device's own doing, within `serve` or within
    /// [`VirtioMmio::update`]; the transport then tells the driver.
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

    /// Puts what was in flight for queue `index`, and has ended in `pause`, into the used ring, and takes nothing new. For
    /// devices whose work goes on outside of `serve`.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    fn drain(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let _ = (index, queue, memory);
        Ok(Served::default())
    }

    /// Takes up work again; the transport serves every queue once afterwards.
    fn resume(&mut self);

    /// As [`Lifecycle::counters`](crate::Lifecycle::counters).
    fn counters(&self) -> Counters {
        Counters::new()
    }

    /// As [`Lifecycle::claim`](crate::Lifecycle::claim).
    ///
    /// # Errors
    /// As there.
    fn claim(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// As [`Lifecycle::release`](crate::Lifecycle::release).
    fn release(&mut self) {}
}
