//! A descriptor chain, checked as a whole before anything is done for it.
//!
//! `virtio-queue` walks a chain safely but cannot say why a walk ended: a loop, a table outside of memory and the
//! regular end look alike. Here every way to break the rules is an error (virtio 1.2 §2.7.5 to §2.7.7), so a device
//! either serves a good chain or nothing.

use virtio_queue::{DescriptorChain, desc::split::Descriptor};
use vm_memory::GuestMemoryBackend;

use super::ServeError;
use crate::GuestMemory;

/// The descriptors of `chain`: at least one, at most `limit`, none empty, all within `memory`, regularly ended.
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
            return Err(ServeError::Chain("is longer than its queue"));
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
