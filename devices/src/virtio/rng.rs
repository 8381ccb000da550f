//! The entropy source (virtio 1.2 §5.4): fills the driver's buffers with random bytes of the host's kernel.
//!
//! It has one queue, no configuration and no state of its own.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};
use virtio_queue::{DescriptorChain, Queue, QueueT, desc::split::Descriptor};
use vm_memory::Bytes;

use super::{ServeError, Served, VirtioDevice, chain, queue::serve_each, sys};
use crate::GuestMemory;

/// Device type of an entropy source.
const DEVICE_TYPE: u32 = 4;
const QUEUE_SIZES: &[u16] = &[256];
/// Most bytes for one request; the driver is told how many it got. Linux asks for 64.
const MAX_REQUEST_BYTES: usize = 64 << 10;
/// Bytes drawn at once, on the stack.
const DRAW_BYTES: usize = 256;

/// An entropy source.
#[derive(Debug, Default)]
pub struct Rng(());

/// Saved state of the device itself: it has none.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct RngState {}

impl Schema for RngState {
    const KIND: &'static str = "virtio-rng";
    const VERSION: u16 = 1;
}

impl Rng {
    /// A source on the host's generator.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

/// Fills the buffers of a chain and says how many bytes that were.
fn fill(chain: DescriptorChain<&GuestMemory>, memory: &GuestMemory, limit: u16) -> Result<u32, ServeError> {
    let buffers = chain::checked(chain, memory, limit)?;
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
            sys::fill_random(draw)?;
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

    fn queue_sizes(&self) -> &'static [u16] {
        QUEUE_SIZES
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

    fn serve(&mut self, _: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let limit = queue.size();
        serve_each(queue, memory, |chain| fill(chain, memory, limit))
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
