//! Used elements that the driver sees all at once, and whether it wants an interrupt for them.
//!
//! `virtio-queue` shows each element by itself. A frame in several buffers must not be seen in part (virtio 1.2
//! §5.1.6.4), so the index is stored here behind all of its elements.

use std::sync::atomic::{Ordering, fence};

use virtio_queue::{Error, Queue, QueueT};
use vm_memory::{Address, Bytes, GuestAddress};

use crate::GuestMemory;

/// Bytes of an element of the used ring.
const ELEMENT_BYTES: u64 = 8;
/// Flags and index stand before the elements of either ring.
const HEADER_BYTES: u64 = 4;
const INDEX_OFFSET: u64 = 2;

fn at(ring: u64, offset: u64) -> Result<GuestAddress, Error> {
    GuestAddress(ring).checked_add(offset).ok_or(Error::AddressOverflow)
}

/// Shows the driver `used`, heads of chains and the bytes written to each, in one step.
///
/// # Errors
/// For a ring that is not in memory.
pub fn publish(queue: &mut Queue, memory: &GuestMemory, used: &[(u16, u32)]) -> Result<(), Error> {
    let mut next = queue.next_used();
    for (head, len) in used {
        let place = HEADER_BYTES + ELEMENT_BYTES * u64::from(next % queue.size());
        // Head, then length, 32 bits each.
        let element = (u64::from(*head) | u64::from(*len) << 32).to_le();
        memory.write_obj(element, at(queue.used_ring(), place)?).map_err(Error::GuestMemory)?;
        next = next.wrapping_add(1);
    }
    let index = at(queue.used_ring(), INDEX_OFFSET)?;
    memory.store(next.to_le(), index, Ordering::Release).map_err(Error::GuestMemory)?;
    queue.set_next_used(next);
    Ok(())
}

/// Whether the driver wants an interrupt for what was published since the ring's position `since` (§2.7.7).
///
/// # Errors
/// For a ring that is not in memory.
pub fn wants_interrupt(queue: &Queue, memory: &GuestMemory, since: u16) -> Result<bool, Error> {
    let now = queue.next_used();
    if now == since || !queue.event_idx_enabled() {
        return Ok(now != since);
    }
    // The driver stores its event index and looks at the ring again; we do it the other way round.
    fence(Ordering::SeqCst);
    let event = at(queue.avail_ring(), HEADER_BYTES + 2 * u64::from(queue.size()))?;
    let event: u16 = memory.load(event, Ordering::Relaxed).map(u16::from_le).map_err(Error::GuestMemory)?;
    Ok(now.wrapping_sub(event).wrapping_sub(1) < now.wrapping_sub(since))
}
