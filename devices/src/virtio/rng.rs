//! The entropy source (virtio 1.2 §5.4): fills the driver's buffers with random bytes of the host's kernel.
//!
//! It has one queue, no configuration and no state of its own. What a guest may draw can be limited: the host's generator
//! takes time to make bytes, and a guest shall not take it from others.

mod config;
#[cfg(test)]
mod config_test;

use std::io;

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueT, desc::split::Descriptor};
use vm_memory::Bytes;

pub use self::config::RngConfig;
use super::{
    ServeError, Served, Source, VirtioDevice, chain,
    queue::{Offered, Taken, serve_each},
};
use crate::{GuestMemory, rate_limiter::RateLimiter, sys::fill_random};

/// Device type of an entropy source.
const DEVICE_TYPE: u32 = 4;
/// Most bytes for one request; the driver is told how many it got. Linux asks for 64.
const MAX_REQUEST_BYTES: usize = 64 << 10;
/// Bytes drawn at once, on the stack.
const DRAW_BYTES: usize = 256;

/// An entropy source.
#[derive(Debug, Default)]
pub struct Rng {
    limiter: Option<RateLimiter>,
}

/// Saved state of the device itself: it has none.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct RngState {}

impl Schema for RngState {
    const KIND: &'static str = "virtio-rng";
    const VERSION: u16 = 1;
}

impl Rng {
    /// A source on the host's generator, without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A source as configured.
    ///
    /// # Errors
    /// Those of timerfd_create(2), where there is a limit; [`io::ErrorKind::InvalidInput`] for what cannot be configured.
    pub fn configured(config: &RngConfig) -> io::Result<Self> {
        config.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Self { limiter: config.rate_limiter_config.as_ref().map(RateLimiter::new).transpose()? })
    }
}

/// Fills the buffers of a request and says how many bytes that were.
fn fill(buffers: &[Descriptor], memory: &GuestMemory) -> Result<u32, ServeError> {
    if !buffers.iter().all(Descriptor::is_write_only) {
        return Err(ServeError::Chain("has a buffer to read in a queue for random bytes"));
    }
    let mut filled = 0;
    let mut random = [0; DRAW_BYTES];
    for buffer in buffers {
        let mut address = buffer.addr();
        let mut left = (buffer.len() as usize).min(MAX_REQUEST_BYTES - filled);
        while left > 0 {
            let draw = &mut random[..left.min(DRAW_BYTES)];
            fill_random(draw)?;
            memory.write_slice(draw, address).map_err(virtio_queue::Error::GuestMemory)?;
            left -= draw.len();
            filled += draw.len();
            // Within the buffer, which was checked to lie within memory.
            address.0 += draw.len() as u64;
        }
    }
    // At most MAX_REQUEST_BYTES.
    Ok(filled as u32)
}

impl VirtioDevice for Rng {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        config::QUEUE_SIZES
    }

    fn read_config(&self, _: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write_config(&mut self, _: u64, _: &[u8]) {}

    fn config_generation(&self) -> u32 {
        0
    }

    fn activate(&mut self, _: u64) {}

    fn reset(&mut self) {}

    fn sources(&self) -> Vec<Source> {
        self.limiter.iter().map(|limiter| Source::to_read(limiter.fd(), 0)).collect()
    }

    /// At most one round of the ring.
    fn serve(&mut self, _: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        serve_each(queue, memory, queue.next_used(), |Offered { buffers, .. }| {
            let bytes = chain::bytes_in(buffers).min(MAX_REQUEST_BYTES) as u64;
            if self.limiter.as_mut().is_some_and(|limiter| !limiter.admit(bytes)) {
                return Ok(Taken::Later);
            }
            fill(buffers, memory).map(Taken::Done)
        })
    }

    /// Nothing is ever in flight outside of `serve`.
    fn pause(&mut self) {}

    fn resume(&mut self) {}
}

impl Save for Rng {
    type State = RngState;

    fn save(&self) -> Result<RngState, StateError> {
        Ok(RngState {})
    }

    fn restore(&mut self, _: &RngState) -> Result<(), StateError> {
        Ok(())
    }
}
