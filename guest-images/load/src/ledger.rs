//! Writes pages and checks them: what a page holds must be what its version says, to the last byte.
//!
//! Each write raises the version of its page in a table beside the pages, so that a page of an older version (one
//! that a migration forgot to send again) is as wrong as a corrupt one; and the versions must add up to the number
//! of writes, so that an old part of the table is noticed too. A page found wrong is put right, so that it counts
//! once. Neighbours: `content` (what a page holds), `sys::resident` (where), `worker` (when).

use crate::content::{Generator, PAGE_BYTES, Scratch};

/// The pages of one ledger and their versions, named from 0.
pub trait Pages {
    /// Number of pages; at least 1.
    fn pages(&self) -> u64;
    /// The number that names `page` in the whole guest.
    fn number(&self, page: u64) -> u64;
    /// Guest-physical address of `page`.
    fn address(&self, page: u64) -> u64;
    /// What `page` holds.
    fn page(&self, page: u64) -> &[u8; PAGE_BYTES];
    /// What `page` holds, to write.
    fn page_mut(&mut self, page: u64) -> &mut [u8; PAGE_BYTES];
    /// How often `page` was written since it was filled.
    fn version(&self, page: u64) -> u32;
    /// Sets the version of `page`.
    fn set_version(&mut self, page: u64, version: u32);
}

/// A difference between what memory holds and what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The page's number in the whole guest.
    pub page: u64,
    /// Guest-physical address of the word that differs first.
    pub address: u64,
    /// What should be there.
    pub expected: u64,
    /// What is there.
    pub found: u64,
}

/// Stands for the version table in [`Mismatch::page`].
pub const VERSION_TABLE: u64 = u64::MAX;

/// One vCPU's pages with their history.
pub struct Ledger<'a, P> {
    pages: P,
    generator: &'a Generator,
    scratch: Scratch,
    /// Sum of all versions, as the writes made it.
    written: u32,
    /// Sum of the versions of the pages before `cursor`.
    swept: u32,
    cursor: u64,
    sweeps: u64,
}

impl<'a, P: Pages> Ledger<'a, P> {
    /// Fills `pages` and begins their history.
    pub fn fill(pages: P, generator: &'a Generator) -> Self {
        let mut ledger =
            Self { pages, generator, scratch: Scratch::new(), written: 0, swept: 0, cursor: 0, sweeps: 0 };
        for page in 0..ledger.pages.pages() {
            ledger.pages.set_version(page, 0);
            ledger.restore(page, 0);
        }
        ledger
    }

    /// How often all pages were swept.
    pub fn sweeps(&self) -> u64 {
        self.sweeps
    }

    /// Checks what was written to `page` last, and writes its next version.
    ///
    /// # Errors
    /// The difference that was found; the page is right again, and has its next version.
    pub fn write(&mut self, page: u64) -> Result<(), Mismatch> {
        let version = self.pages.version(page);
        let number = self.pages.number(page);
        let result = self.check_written(page, version);
        if result.is_err() {
            self.restore(page, version);
        }
        // Version 0 is the first content, which a write cannot bring back.
        let next = version.checked_add(1).unwrap_or(1);
        let bytes = self.generator.write_bytes();
        self.generator.written(number, next, &mut self.scratch);
        self.pages.page_mut(page)[..bytes].copy_from_slice(&self.scratch.page()[..bytes]);
        self.pages.set_version(page, next);
        let step = next.wrapping_sub(version);
        self.written = self.written.wrapping_add(step);
        if page < self.cursor {
            self.swept = self.swept.wrapping_add(step);
        }
        result
    }

    /// Checks the whole of the page at the cursor, and moves on; at the end also the sum of versions.
    ///
    /// # Errors
    /// The difference that was found; it is put right, so that it is found once.
    pub fn sweep(&mut self) -> Result<(), Mismatch> {
        let page = self.cursor;
        let version = self.pages.version(page);
        self.generator.page(self.pages.number(page), version, &mut self.scratch);
        let result = self.compare(page, self.scratch.page().len());
        if result.is_err() {
            self.pages.page_mut(page).copy_from_slice(self.scratch.page());
        }
        self.swept = self.swept.wrapping_add(version);
        self.cursor += 1;
        if self.cursor == self.pages.pages() { result.and(self.end_sweep()) } else { result }
    }

    fn end_sweep(&mut self) -> Result<(), Mismatch> {
        let (expected, found) = (self.written, self.swept);
        self.written = found;
        self.swept = 0;
        self.cursor = 0;
        self.sweeps += 1;
        if expected == found {
            return Ok(());
        }
        Err(Mismatch { page: VERSION_TABLE, address: 0, expected: expected.into(), found: found.into() })
    }

    /// Flips one bit of the last page.
    pub fn flip_bit(&mut self) {
        let last = self.pages.pages() - 1;
        let bytes = self.pages.page_mut(last);
        bytes[bytes.len() / 2] ^= 0x10;
    }

    /// Puts the first page back by one write, as if that write had been lost.
    ///
    /// # Errors
    /// As [`Ledger::write`], which comes first.
    pub fn lose_write(&mut self) -> Result<(), Mismatch> {
        let result = self.write(0);
        self.restore(0, self.pages.version(0) - 1);
        result
    }

    /// Writes all of `page` as it was at `version`.
    fn restore(&mut self, page: u64, version: u32) {
        self.generator.page(self.pages.number(page), version, &mut self.scratch);
        self.pages.page_mut(page).copy_from_slice(self.scratch.page());
    }

    /// The pages, to damage behind the ledger's back.
    #[cfg(test)]
    pub(crate) fn pages_mut(&mut self) -> &mut P {
        &mut self.pages
    }

    fn check_written(&mut self, page: u64, version: u32) -> Result<(), Mismatch> {
        self.generator.written(self.pages.number(page), version, &mut self.scratch);
        // The first content is more than a write's; its stamp is checked here, and the rest by the sweep.
        let bytes = if version == 0 { 8 } else { self.generator.write_bytes() };
        self.compare(page, bytes)
    }

    /// Compares the first `bytes` (a multiple of 8) of `page` with the scratch.
    fn compare(&self, page: u64, bytes: usize) -> Result<(), Mismatch> {
        let (found, expected) = (&self.pages.page(page)[..bytes], &self.scratch.page()[..bytes]);
        if found == expected {
            return Ok(());
        }
        let word = |bytes: &[u8], index: usize| {
            bytes
                .chunks_exact(8)
                .nth(index)
                .map_or(0, |word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        };
        let index = (0..bytes / 8).find(|&index| word(found, index) != word(expected, index)).unwrap_or(0);
        Err(Mismatch {
            page: self.pages.number(page),
            address: self.pages.address(page) + 8 * index as u64,
            expected: word(expected, index),
            found: word(found, index),
        })
    }
}
