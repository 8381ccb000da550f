//! The pages that the guest fills and checks, and the version of each: one slice of both per vCPU.
//!
//! Neighbours: `layout` (where they are), `ledger` (what should be in them).

use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

use crate::content::PAGE_BYTES;
use crate::layout::{Layout, Share};
use crate::ledger::Pages;

/// One vCPU's pages, and their versions.
pub struct Slice {
    layout: &'static Layout,
    share: Share,
}

impl Slice {
    /// Takes the share of vCPU `index` of `count`.
    ///
    /// # Safety
    /// The layout describes memory that is mapped and nobody else's, and each share is taken once.
    pub unsafe fn take(layout: &'static Layout, index: usize, count: usize) -> Self {
        Self { layout, share: layout.share(index as u64, count as u64) }
    }

    /// How many of the first pages are rewritten.
    pub fn working_set(&self) -> u64 {
        self.share.working_set
    }

    fn version_address(&self, page: u64) -> usize {
        assert!(page < self.share.pages);
        self.layout.versions as usize + (self.share.first + page) as usize * size_of::<u32>()
    }
}

impl Pages for Slice {
    fn pages(&self) -> u64 {
        self.share.pages
    }

    fn number(&self, page: u64) -> u64 {
        self.share.first + page
    }

    fn address(&self, page: u64) -> u64 {
        assert!(page < self.share.pages);
        self.layout.address(self.share.first + page)
    }

    fn page(&self, page: u64) -> &[u8; PAGE_BYTES] {
        // SAFETY: the address is that of a page of this slice, which `take`'s caller gave to it alone.
        unsafe { &*with_exposed_provenance(self.address(page) as usize) }
    }

    fn page_mut(&mut self, page: u64) -> &mut [u8; PAGE_BYTES] {
        // SAFETY: as in `page`, and the slice is borrowed for as long.
        unsafe { &mut *with_exposed_provenance_mut(self.address(page) as usize) }
    }

    fn version(&self, page: u64) -> u32 {
        // SAFETY: the table has an entry for each page of the layout; this one is the slice's.
        unsafe { with_exposed_provenance::<u32>(self.version_address(page)).read_volatile() }
    }

    fn set_version(&mut self, page: u64, version: u32) {
        // SAFETY: as in `version`, and nobody else writes the entries of this slice.
        unsafe { with_exposed_provenance_mut::<u32>(self.version_address(page)).write_volatile(version) }
    }
}
