//! Which pages a request of the driver is about, and giving their memory back to this host.

use std::ops::Range;

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::sys;
use crate::{GuestMemory, virtio::ServeError};

/// What a balloon counts in, whatever the guest's own pages are (§5.5.6).
pub const BALLOON_PAGE_BYTES: u64 = 4096;
/// Most page numbers in one request; Linux has 256, others a page full.
const MAX_NUMBERS: usize = 16 << 10;
/// Page numbers read at once, on the stack.
const READ_NUMBERS: usize = 256;

/// The pages whose numbers, 32 bits each, are in the buffers of a chain, as runs of guest-physical addresses.
///
/// # Errors
/// [`ServeError::Chain`] for anything but numbers of pages in memory.
pub fn numbered(buffers: &[Descriptor], memory: &GuestMemory) -> Result<Vec<Range<u64>>, ServeError> {
    if buffers.iter().any(Descriptor::is_write_only) {
        return Err(ServeError::Chain("has a buffer to write in a queue for page numbers"));
    }
    let bytes: u64 = buffers.iter().map(|buffer| u64::from(buffer.len())).sum();
    if bytes > 4 * MAX_NUMBERS as u64 || buffers.iter().any(|buffer| !buffer.len().is_multiple_of(4)) {
        return Err(ServeError::Chain("has more page numbers than can be, or a part of one"));
    }
    let mut numbers = Vec::with_capacity(bytes as usize / 4);
    for buffer in buffers {
        let mut read = [0; 4 * READ_NUMBERS];
        for from in (0..buffer.len() as usize).step_by(read.len()) {
            let part = &mut read[..(buffer.len() as usize - from).min(4 * READ_NUMBERS)];
            let address = GuestAddress(buffer.addr().0 + from as u64);
            memory.read_slice(part, address).map_err(virtio_queue::Error::GuestMemory)?;
            numbers.extend(part.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number)));
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    let runs = numbers.chunk_by(|page, next| page + 1 == *next);
    runs.map(|run| {
        let start = u64::from(run[0]) * BALLOON_PAGE_BYTES;
        let bytes = run.len() * BALLOON_PAGE_BYTES as usize;
        if !memory.check_range(GuestAddress(start), bytes) {
            return Err(ServeError::Chain("names a page outside of memory"));
        }
        Ok(start..start + bytes as u64)
    })
    .collect()
}

/// The blocks of memory that are the buffers of a chain themselves, cut to whole pages.
///
/// # Errors
/// [`ServeError::Chain`] for a buffer that is not the device's to write.
pub fn blocks(buffers: &[Descriptor]) -> Result<Vec<Range<u64>>, ServeError> {
    if !buffers.iter().all(Descriptor::is_write_only) {
        return Err(ServeError::Chain("has a buffer to read in a queue for free pages"));
    }
    Ok(buffers.iter().map(whole_pages).collect())
}

/// The whole pages of a buffer that lies within memory; a range may be empty.
pub fn whole_pages(buffer: &Descriptor) -> Range<u64> {
    let (start, end) = (buffer.addr().0, buffer.addr().0 + u64::from(buffer.len()));
    let first = start.next_multiple_of(BALLOON_PAGE_BYTES);
    first..(end / BALLOON_PAGE_BYTES * BALLOON_PAGE_BYTES).max(first)
}

/// Gives the memory of these pages back to this host; what they held is gone. They must lie within memory.
///
/// # Errors
/// What madvise(2) said.
pub fn release(memory: &GuestMemory, pages: Range<u64>) -> Result<(), ServeError> {
    let mut at = pages.start;
    while at < pages.end {
        let Some(region) = memory.find_region(GuestAddress(at)) else {
            return Err(ServeError::Chain("names a page outside of memory"));
        };
        let end = pages.end.min(region.start_addr().0 + region.len());
        let offset = (at - region.start_addr().0) as usize;
        sys::release(&region.get_mmap(), offset, (end - at) as usize)?;
        at = end;
    }
    Ok(())
}
