//! Which pages of a mapping were ever populated, from /proc/self/pagemap (Linux, admin-guide/mm/pagemap.rst).
//!
//! A page that was never populated holds zeros, and need not be read to know it. Guest and devices both populate
//! pages through the same mapping, so the page map sees all of them.

use std::{fs::File, io};

use godwit_migration::{limits::PAGE_BYTES, page::PageSet};

use super::sys;

/// Page map entries read at a time: 32 KiB of them, for 16 MiB of guest memory.
const CHUNK: usize = 4096;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;

/// Adds the populated pages of the `pages` pages at `address`, the first of which is the guest's page `first`.
pub(super) fn collect(
    map: &File,
    address: usize,
    pages: u32,
    first: u32,
    into: &mut PageSet,
) -> io::Result<()> {
    let mut entries = [0_u64; CHUNK];
    for start in (0..pages).step_by(CHUNK) {
        let count = (pages - start).min(CHUNK as u32);
        let entries = &mut entries[..count as usize];
        sys::page_map(map, address + start as usize * PAGE_BYTES, entries)?;
        for (index, _) in
            (0_u32..).zip(entries.iter()).filter(|(_, entry)| **entry & (PRESENT | SWAPPED) != 0)
        {
            into.insert(first + start + index);
        }
    }
    Ok(())
}
