//! Frames from the driver's buffers to the tap, straight from guest memory.
//!
//! A frame that the host does not take (a header that makes no sense, an interface that is down) is lost, as on any
//! wire.

use virtio_queue::{Queue, QueueT, desc::split::Descriptor};
use vm_memory::GuestMemoryBackend;

use super::{features::*, passed::Passed, tap::Tap};
use crate::{
    GuestMemory,
    rate_limiter::RateLimiter,
    virtio::{
        ServeError, Served, chain,
        queue::{Offered, Taken, serve_each},
    },
};

/// Sends what is available, at most one round of the ring. What the host takes is added to `sent`.
///
/// # Errors
/// [`ServeError`] for a driver that broke the rules.
pub fn serve(
    tap: &Tap,
    limit: &mut Option<RateLimiter>,
    sent: &mut Passed,
    queue: &mut Queue,
    memory: &GuestMemory,
) -> Result<Served, ServeError> {
    serve_each(queue, memory, queue.next_used(), |Offered { buffers, .. }| {
        let bytes = frame_bytes(buffers)?;
        if !limit.as_mut().is_none_or(|limit| limit.admit(bytes as u64)) {
            return Ok(Taken::Later);
        }
        if bytes <= FRAME_BYTES - HEADER_BYTES && send(tap, buffers, memory)? {
            sent.add(bytes);
        }
        Ok(Taken::Done(0))
    })
}

/// Bytes of the frame behind its header.
fn frame_bytes(buffers: &[Descriptor]) -> Result<usize, ServeError> {
    if buffers.iter().any(Descriptor::is_write_only) {
        return Err(ServeError::Chain("has a buffer to write in a queue for frames to send"));
    }
    let bytes = chain::bytes_in(buffers);
    bytes.checked_sub(HEADER_BYTES).ok_or(ServeError::Chain("is too short for a frame's header"))
}

/// Whether the host took it.
fn send(tap: &Tap, buffers: &[Descriptor], memory: &GuestMemory) -> Result<bool, ServeError> {
    let mut slices = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        for slice in GuestMemoryBackend::get_slices(memory, buffer.addr(), buffer.len() as usize) {
            slices.push(slice.map_err(virtio_queue::Error::GuestMemory)?);
        }
    }
    let taken = tap.write(&slices);
    if let Err(error) = &taken {
        tracing::debug!("tap '{}' does not take a frame: {error}", tap.name());
    }
    Ok(taken.is_ok())
}
