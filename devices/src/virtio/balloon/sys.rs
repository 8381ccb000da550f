//! Gives guest memory back to the host.

use std::io;

use vm_memory::{bitmap::AtomicBitmap, mmap::MmapRegion};

/// Releases `bytes` from `offset` of an anonymous private mapping; they read as zeros from then on.
///
/// # Errors
/// What madvise(2) said; where the bytes are not within the mapping.
pub fn release(mapping: &MmapRegion<AtomicBitmap>, offset: usize, bytes: usize) -> io::Result<()> {
    if offset.checked_add(bytes).is_none_or(|end| end > mapping.size()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the range is inside the mapping, which the borrow keeps. It changes what guest memory holds, as a write of
    // the guest would, and no reference to guest memory exists anywhere.
    let released = unsafe { libc::madvise(mapping.as_ptr().add(offset).cast(), bytes, libc::MADV_DONTNEED) };
    if released == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
