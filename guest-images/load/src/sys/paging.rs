//! The identity mapping beyond the first GiB, built in ring 3 of 2 MiB pages.
//!
//! `boot` maps the first GiB with constants. This adds a page directory per further GiB, in memory that the
//! caller sets aside, before anything up there is touched.

use super::boot::page_directory_pointers;

/// Bytes that one page directory maps.
pub const DIRECTORY_SPAN: u64 = 1 << 30;
/// Bytes of a page directory.
pub const DIRECTORY_BYTES: u64 = 4096;
/// GiB that one table of directories reaches.
pub const MAX_DIRECTORIES: u64 = 512;

const TABLE: u64 = 0x07;
const LARGE_PAGE: u64 = 0xe7;
const UNCACHED: u64 = 0x10;
const LARGE_PAGE_BYTES: u64 = 2 << 20;
const LAPIC_PAGE: u64 = 0xfee0_0000;

/// Directories that [`map`] needs so that everything below `end` is reachable, the LAPIC's registers in any case.
pub fn directories(end: u64) -> u64 {
    mapped_end(end) / DIRECTORY_SPAN - 1
}

/// First address that [`map`]`(end)` does not map: 4 GiB at least, 512 GiB at most.
pub fn mapped_end(end: u64) -> u64 {
    end.max(LAPIC_PAGE).next_multiple_of(DIRECTORY_SPAN).min(MAX_DIRECTORIES * DIRECTORY_SPAN)
}

/// Maps the address space below `end` to itself with directories placed at `tables`.
///
/// # Safety
/// `tables` is [`directories`]`(end)` pages of memory below 1 GiB that nothing else uses.
pub unsafe fn map(tables: u64, end: u64) {
    for index in 0..directories(end) {
        let address = tables + index * DIRECTORY_BYTES;
        let directory = core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
        let first = (index + 1) * DIRECTORY_SPAN;
        for entry in 0..512 {
            let page = first + entry as u64 * LARGE_PAGE_BYTES;
            let cache = if page == LAPIC_PAGE { UNCACHED } else { 0 };
            // SAFETY: inside the page at `address`, which the caller set aside.
            unsafe { directory.add(entry).write_volatile(page | LARGE_PAGE | cache) };
        }
        // SAFETY: `index` is below 511, and only the boot vCPU gets here, before the others start.
        unsafe {
            (&raw mut page_directory_pointers)
                .cast::<u64>()
                .add(index as usize + 1)
                .write_volatile(address | TABLE)
        };
    }
}
