//! A descriptor chain, checked as a whole before anything is done for it.
//!
//! `virtio-queue` walks a chain safely but cannot say why a walk ended: a loop, a table outside of memory and the
//! regular end look alike. Here every way to break the rules is an error (virtio 1.2 §2.7.5 to §2.7.7), so a device
//! either serves a good chain or nothing.

use virtio_queue::{DescriptorChain, desc::split::Descriptor};
use vm_memory::{Bytes, GuestMemoryBackend};

use super::ServeError;
use crate::GuestMemory;

/// The descriptors of `chain`: at least one, at most `limit`, none empty, all within `memory`, regularly ended.
///
/// The limit is the size of the device's queue (§2.7.5.3.1), however few entries of it the driver took: a request of many
/// buffers fits in a queue of one entry by an indirect table.
///
/// # Errors
/// [`ServeError::Chain`], saying which rule was broken.
pub fn checked(
    chain: DescriptorChain<&GuestMemory>,
    memory: &GuestMemory,
    limit: u16,
) -> Result<Vec<Descriptor>, ServeError> {
    let mut descriptors = Vec::new();
    for descriptor in chain {
        if descriptors.len() >= usize::from(limit) {
            return Err(ServeError::Chain("is longer than its device's queue"));
        }
        if descriptor.len() == 0 {
            return Err(ServeError::Chain("has an empty buffer"));
        }
        if !memory.check_range(descriptor.addr(), descriptor.len() as usize) {
            return Err(ServeError::Chain("has a buffer outside of memory"));
        }
        descriptors.push(descriptor);
    }
    match descriptors.last() {
        None => Err(ServeError::Chain("does not exist")),
        Some(last) if last.has_next() => Err(ServeError::Chain("loops or leaves its table")),
        Some(_) => Ok(descriptors),
    }
}

/// Bytes of the buffers, all together.
pub fn bytes_in(buffers: &[Descriptor]) -> usize {
    buffers.iter().fold(0, |sum: usize, buffer| sum.saturating_add(buffer.len() as usize))
}

/// Writes `bytes` to the buffers, which have room for them.
///
/// # Errors
/// For a buffer that is not in memory.
pub fn scatter(mut bytes: &[u8], buffers: &[Descriptor], memory: &GuestMemory) -> Result<(), ServeError> {
    for buffer in buffers {
        let (part, behind) = bytes.split_at(bytes.len().min(buffer.len() as usize));
        memory.write_slice(part, buffer.addr()).map_err(virtio_queue::Error::GuestMemory)?;
        bytes = behind;
    }
    Ok(())
}
