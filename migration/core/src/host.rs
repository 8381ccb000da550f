//! What the engine asks of a machine: its pages, and which of them were written.
//!
//! The traits are shared with the lanes, which are threads of their own: every method takes `&self`.

use std::{ops::Range, sync::atomic::AtomicU8};

use crate::{limits::PAGE_BYTES, page::PageSet};

/// One page, copied out of the guest.
pub type PageBytes = [u8; PAGE_BYTES];

/// The machine, its memory or its disk failed: the host's own fault, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

impl HostError {
    /// Any error as a host error, with its causes.
    pub fn of(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        Self(text)
    }
}

/// Where pages come from: a guest's memory, a file, a trace.
pub trait PageSource: Send + Sync {
    /// Number of pages; all page numbers below it exist.
    fn pages(&self) -> u32;

    /// Copies `page` out, once: zero test, checksum and payload all come from this copy, because the guest may be
    /// writing. A torn page is fine: what tore it is in the next harvest.
    fn read(&self, page: u32, into: &mut PageBytes);

    /// Adds the pages that somebody may have written since the memory was made; the others hold zeros.
    ///
    /// # Errors
    /// Where the host cannot tell.
    fn touched(&self, into: &mut PageSet) -> Result<(), HostError>;
}

/// Where pages go: a guest's fresh memory, a file.
pub trait PageSink: Send + Sync {
    /// Number of pages; all page numbers below it exist.
    fn pages(&self) -> u32;

    /// Stores `page`.
    ///
    /// # Errors
    /// Where the host cannot.
    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError>;

    /// Copies out what `page` holds: the last that was put, or zeros. Deltas and references are decoded against it.
    ///
    /// # Errors
    /// Where the host cannot.
    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError>;

    /// The memory of these pages, for a lane to receive into: whatever it will hold counts as put. It is filled from
    /// behind a shared reference, so it is atomics. Nothing where the pages are not one piece of memory.
    fn place(&self, _pages: Range<u32>) -> Option<&[AtomicU8]> {
        None
    }

    /// Makes `page` zeros; memory that was never written need not be touched for it.
    ///
    /// # Errors
    /// Where the host cannot.
    fn put_zero(&self, page: u32) -> Result<(), HostError>;
}

/// Which pages were written: by the guest's CPUs and by the VMM itself.
pub trait DirtySource: Send + Sync {
    /// Its name in reports: `kvm-log`, `kvm-ring`.
    fn name(&self) -> &'static str;

    /// Starts tracking of all pages: every write from the return of this call on is found by a later harvest.
    ///
    /// # Errors
    /// Where the host cannot.
    fn begin(&self) -> Result<(), HostError>;

    /// Starts tracking without any page: for a harvest, and for a look, a page counts as written until it is armed or has been
    /// harvested. False where the host cannot, and tracks all pages as [`begin`](Self::begin) does.
    ///
    /// # Errors
    /// Where the host cannot track at all.
    fn begin_unarmed(&self) -> Result<bool, HostError> {
        self.begin().map(|()| false)
    }

    /// Arms those of `pages` that are in `range`, whole words of the set or up to its end: every write to them from the
    /// return of this call on is found by a later harvest, and what was written before may be forgotten. Only pages that are not
    /// armed yet. Called by lanes, concurrently with one another and with `peek`, never with `harvest`.
    ///
    /// # Errors
    /// Where the host cannot.
    fn arm(&self, _pages: &PageSet, _range: Range<u32>) -> Result<(), HostError> {
        Ok(())
    }

    /// Adds the pages written since the last harvest (or since `begin`), and forgets them. A write that races with
    /// the call is in this harvest or in the next.
    ///
    /// # Errors
    /// Where the host cannot.
    fn harvest(&self, dirty: &mut PageSet) -> Result<(), HostError>;

    /// Adds what a harvest would find now, without forgetting it. Called by lanes, concurrently with one another,
    /// never with `harvest`.
    ///
    /// # Errors
    /// Where the host cannot.
    fn peek(&self, dirty: &mut PageSet) -> Result<(), HostError>;

    /// Stops tracking; the guest runs at full speed again. Harmless when tracking is off.
    ///
    /// # Errors
    /// Where the host cannot.
    fn end(&self) -> Result<(), HostError>;
}

/// Which pages hold nothing that anybody will read: memory that the guest has given free. Virtio-balloon's free page
/// hints are such a report.
///
/// A report is open from [`begin`](Self::begin) to [`take`](Self::take), that is from the return of one harvest to the
/// next. A page in it was free at some moment since it was opened; one that was free before only, and has been taken
/// again, must not be in it.
///
/// Why no page is lost, in the order of things: the engine takes the report, *then* harvests, and then reckons
/// `owed = (owed − free) ∪ dirty`. If the guest has taken a page of the report again and written to it, the write is in the
/// harvest that follows the report, or in a later one, and the page is owed again. The other way round, a report that is
/// older than the harvest could hide a write which that harvest has just taken out of the log. For the same reason a lane
/// may leave out what is in the open report when it comes to it.
pub trait FreePages: Send + Sync {
    /// Opens a report, and asks the guest for it. Just after tracking has begun, or a harvest has returned; the guest
    /// runs.
    ///
    /// # Errors
    /// Where the host cannot ask.
    fn begin(&self) -> Result<(), HostError>;

    /// Whether the guest has yet to tell what was free when it was asked.
    fn is_awaited(&self) -> bool;

    /// Adds which of these pages are in the open report. Called by lanes, concurrently with one another.
    ///
    /// # Errors
    /// Where the host cannot tell.
    fn peek(&self, pages: Range<u32>, free: &mut PageSet) -> Result<(), HostError>;

    /// Adds the pages of the report, and closes it. Without an open report there are none.
    ///
    /// # Errors
    /// Where the host cannot tell.
    fn take(&self, free: &mut PageSet) -> Result<(), HostError>;

    /// No report will be wanted: the guest gets back what it has set aside for them. Harmless without any.
    ///
    /// # Errors
    /// Where the host cannot tell the guest.
    fn end(&self) -> Result<(), HostError>;
}
