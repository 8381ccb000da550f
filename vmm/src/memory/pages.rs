//! Guest memory as numbered pages, for the migration's lanes.
//!
//! A page put here was written by a peer, not by the guest or a device, so it is not marked as dirty.

use std::{
    fs::File,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use godwit_migration::{
    host::{HostError, PageBytes, PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, bitmap::AtomicBitmap, mmap::MmapRegion};

use super::{sys, touched};
use crate::boot::GuestMemory;

/// A region with the numbers of its pages.
struct NumberedRegion {
    gpa: u64,
    mapping: Arc<MmapRegion<AtomicBitmap>>,
    first: u32,
    pages: u32,
}

/// A guest's pages: regions in ascending order, numbered without gaps.
pub struct GuestPages {
    regions: Vec<NumberedRegion>,
    pages: u32,
    /// Pages that were put, one bit each: only those need zeroing by `put_zero`. Made by the first.
    put: OnceLock<Vec<AtomicU64>>,
}

impl GuestPages {
    /// The pages of `memory`.
    pub(crate) fn new(memory: &GuestMemory) -> Self {
        let mut first = 0;
        let regions = memory.iter().map(|region| {
            let pages = (region.len() / PAGE_BYTES as u64) as u32;
            let numbered =
                NumberedRegion { gpa: region.start_addr().0, mapping: region.get_mmap(), first, pages };
            first += pages;
            numbered
        });
        let regions: Vec<_> = regions.collect();
        Self { regions, pages: first, put: OnceLock::new() }
    }

    /// The region of `page` and the page's place in it. Whoever numbers pages has checked them against `pages()`.
    fn locate(&self, page: u32) -> (&MmapRegion<AtomicBitmap>, u32) {
        let region = self.regions.iter().rfind(|r| r.first <= page && page - r.first < r.pages);
        let region = region.unwrap_or_else(|| panic!("page {page} of {}", self.pages));
        (&region.mapping, page - region.first)
    }

    /// Adds the numbers of the whole pages at these guest-physical addresses, as far as there are such.
    pub(crate) fn add_numbers(&self, addresses: Range<u64>, into: &mut PageSet) {
        for region in &self.regions {
            let end = region.gpa + u64::from(region.pages) * PAGE_BYTES as u64;
            let (from, to) = (addresses.start.max(region.gpa), addresses.end.min(end));
            if from < to {
                let number = |offset: u64| region.first + (offset / PAGE_BYTES as u64) as u32;
                let first = number((from - region.gpa).next_multiple_of(PAGE_BYTES as u64));
                into.insert_range(first..number(to - region.gpa).max(first));
            }
        }
    }

    /// These pages hold what somebody put there.
    fn mark_put(&self, pages: Range<u32>) {
        let make = || (0..self.pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let words = self.put.get_or_init(make);
        for page in pages {
            words[page as usize / 64].fetch_or(1 << (page % 64), Ordering::Relaxed);
        }
    }
}

impl PageSource for GuestPages {
    fn pages(&self) -> u32 {
        self.pages
    }

    fn read(&self, page: u32, into: &mut PageBytes) {
        let (mapping, index) = self.locate(page);
        sys::read_page(mapping, index, into);
    }

    fn touched(&self, into: &mut PageSet) -> Result<(), HostError> {
        let failed = |e: std::io::Error| HostError(format!("/proc/self/pagemap cannot be read: {e}"));
        let map = File::open("/proc/self/pagemap").map_err(failed)?;
        for region in &self.regions {
            let address = region.mapping.as_ptr() as usize;
            touched::collect(&map, address, region.pages, region.first, into).map_err(failed)?;
        }
        Ok(())
    }
}

impl PageSink for GuestPages {
    fn pages(&self) -> u32 {
        self.pages
    }

    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        let (mapping, index) = self.locate(page);
        self.mark_put(page..page + 1);
        sys::write_page(mapping, index, bytes);
        Ok(())
    }

    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError> {
        PageSource::read(self, page, into);
        Ok(())
    }

    fn place(&self, pages: Range<u32>) -> Option<&[AtomicU8]> {
        let last = pages.end.checked_sub(1).filter(|&last| last >= pages.start)?;
        let ((mapping, index), (end, _)) = (self.locate(pages.start), self.locate(last));
        if !std::ptr::eq(mapping, end) {
            return None;
        }
        self.mark_put(pages.clone());
        Some(sys::place(mapping, index, pages.end - pages.start))
    }

    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        let (mapping, index) = self.locate(page);
        let word = self.put.get().map_or(0, |bits| bits[page as usize / 64].load(Ordering::Relaxed));
        if word >> (page % 64) & 1 == 1 {
            sys::zero_page(mapping, index);
        }
        Ok(())
    }
}
