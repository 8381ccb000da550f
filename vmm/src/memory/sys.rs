//! Copies in and out of guest memory through raw pointers: never a reference, because the guest writes meanwhile.

use std::{
    io, ptr,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

use godwit_migration::{host::PageBytes, limits::PAGE_BYTES};
use vm_memory::{bitmap::AtomicBitmap, mmap::MmapRegion};

/// Bytes of a huge page.
pub(super) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Whether core dumps are to have the guest's memory.
pub(super) static IN_DUMPS: AtomicBool = AtomicBool::new(false);

/// Asks for huge pages, and to keep the guest out of core dumps, unless they are to have it. Advice only: a host that
/// declines is as good.
pub(super) fn advise(mapping: &MmapRegion<AtomicBitmap>) {
    let dump = if IN_DUMPS.load(Ordering::Relaxed) { libc::MADV_DODUMP } else { libc::MADV_DONTDUMP };
    for advice in [libc::MADV_HUGEPAGE, dump] {
        // SAFETY: neither advice changes what the mapping holds.
        unsafe { libc::madvise(mapping.as_ptr().cast(), mapping.size(), advice) };
    }
}

/// Addresses that are kept from being given out, until this is dropped.
pub(super) struct Kept {
    start: *mut libc::c_void,
    bytes: usize,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: nobody else knows these addresses, and nothing is in them.
            unsafe { libc::munmap(self.start, self.bytes) };
        }
    }
}

/// Leaves a hole of `bytes` that begins at a multiple of a huge page, and keeps what is around it: a likely place for what is
/// mapped next and is as long. Nothing where the host has no room.
pub(super) fn hole(bytes: usize) -> Option<[Kept; 2]> {
    let all = bytes.checked_add(HUGE_PAGE_BYTES)?;
    let flags = libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, at an address that the kernel chooses, of which nothing is ever used.
    let base = unsafe { libc::mmap(ptr::null_mut(), all, libc::PROT_NONE, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return None;
    }
    // Less than a huge page, so something is left behind the hole.
    let before = base.addr().next_multiple_of(HUGE_PAGE_BYTES) - base.addr();
    let start = base.wrapping_byte_add(before);
    let behind = Kept { start: start.wrapping_byte_add(bytes), bytes: HUGE_PAGE_BYTES - before };
    drop(Kept { start, bytes });
    Some([Kept { start: base, bytes: before }, behind])
}

/// Offset of page `index` of the mapping.
fn offset_of(mapping: &MmapRegion<AtomicBitmap>, index: u32) -> usize {
    let offset = index as usize * PAGE_BYTES;
    assert!(offset + PAGE_BYTES <= mapping.size(), "page {index} is not in this region");
    offset
}

/// Copies page `index` of the mapping out.
pub(super) fn read_page(mapping: &MmapRegion<AtomicBitmap>, index: u32, into: &mut PageBytes) {
    let offset = offset_of(mapping, index);
    // SAFETY: the page is inside the mapping, which lives as long as the borrow. The guest may write meanwhile: no
    // reference to guest memory is made, and a torn copy is what the caller expects.
    unsafe { ptr::copy_nonoverlapping(mapping.as_ptr().add(offset), into.as_mut_ptr(), PAGE_BYTES) };
}

/// Copies page `index` of the mapping in.
pub(super) fn write_page(mapping: &MmapRegion<AtomicBitmap>, index: u32, bytes: &PageBytes) {
    let offset = offset_of(mapping, index);
    // SAFETY: the page is inside the mapping, which lives as long as the borrow, and no reference to guest memory
    // exists anywhere.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), mapping.as_ptr().add(offset), PAGE_BYTES) };
}

/// The memory of `pages` pages from page `index` on.
pub(super) fn place(mapping: &MmapRegion<AtomicBitmap>, index: u32, pages: u32) -> &[AtomicU8] {
    let first = offset_of(mapping, index);
    let bytes = offset_of(mapping, index + pages.max(1) - 1) + PAGE_BYTES - first;
    // SAFETY: the pages are inside the mapping, which lives as long as the borrow. Atomics may change under a reference,
    // and no other kind of reference to guest memory exists anywhere.
    unsafe { std::slice::from_raw_parts(mapping.as_ptr().add(first).cast::<AtomicU8>(), bytes) }
}

/// Fills page `index` of the mapping with zeros.
pub(super) fn zero_page(mapping: &MmapRegion<AtomicBitmap>, index: u32) {
    let offset = offset_of(mapping, index);
    // SAFETY: as for `write_page`.
    unsafe { ptr::write_bytes(mapping.as_ptr().add(offset), 0, PAGE_BYTES) };
}

/// Reads `words` of this process's page map from the page at `address` on.
pub(super) fn page_map(map: &std::fs::File, address: usize, words: &mut [u64]) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    // SAFETY: integers may be seen as bytes, as many as they have.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of_val(words)) };
    map.read_exact_at(bytes, (address / PAGE_BYTES * size_of::<u64>()) as u64)
}
