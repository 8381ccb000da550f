//! Where things lie in the guest's memory: page directories and version table behind the image, then the resident
//! pages, from the next 2 MiB boundary on, through all ranges of usable memory.
//!
//! Arithmetic only. Neighbours: `sys::boot_information` (the ranges), `sys::resident` (the accesses).

use crate::content::PAGE_BYTES;

/// Ranges of usable memory that are used; more are ignored.
pub const MAX_RANGES: usize = 8;
/// Usable memory starts here; what lies below belongs to firmware and trampoline.
const LOWEST: u64 = 1 << 20;
const LARGE_PAGE_BYTES: u64 = 2 << 20;
const PAGE: u64 = PAGE_BYTES as u64;
const VERSION_BYTES: u64 = 4;

/// A range of guest-physical addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// The usable memory, by ascending address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    ranges: [Range; MAX_RANGES],
    count: usize,
}

impl Ranges {
    /// Adds a range, cut to whole pages above 1 MiB; empty ones and those beyond [`MAX_RANGES`] are dropped.
    pub fn add(&mut self, range: Range) {
        let end = range.start.saturating_add(range.bytes) / PAGE * PAGE;
        let start = range.start.max(LOWEST).checked_next_multiple_of(PAGE).unwrap_or(end);
        if start >= end || self.count == MAX_RANGES {
            return;
        }
        let at = self.as_slice().iter().take_while(|other| other.start < start).count();
        self.ranges.copy_within(at..self.count, at + 1);
        self.ranges[at] = Range { start, bytes: end - start };
        self.count += 1;
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[Range] {
        &self.ranges[..self.count]
    }

    /// First address behind all ranges.
    pub fn end(&self) -> u64 {
        self.as_slice().iter().map(|range| range.start + range.bytes).max().unwrap_or(0)
    }

    /// The ranges without what lies below `start`, each beginning at a multiple of 2 MiB.
    fn from(&self, start: u64) -> Self {
        let mut rest = Self::default();
        for range in self.as_slice() {
            let end = range.start + range.bytes;
            let first = range.start.max(start).checked_next_multiple_of(LARGE_PAGE_BYTES).unwrap_or(end);
            rest.add(Range { start: first, bytes: end.saturating_sub(first) });
        }
        rest
    }

    fn pages(&self) -> u64 {
        self.as_slice().iter().map(|range| range.bytes / PAGE).sum()
    }

    /// Whether `range` is usable memory as a whole.
    fn contains(&self, range: Range) -> bool {
        self.as_slice().iter().any(|usable| {
            usable.start <= range.start && range.start + range.bytes <= usable.start + usable.bytes
        })
    }
}

/// The places of everything, for one size of resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Address of the further page directories.
    pub directories: u64,
    /// Address of the version table: 4 bytes per resident page.
    pub versions: u64,
    /// Resident pages.
    pub pages: u64,
    /// Pages that are rewritten.
    pub working_set: u64,
    resident: Ranges,
}

/// One vCPU's part of the resident pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Number of the first page.
    pub first: u64,
    /// Number of pages.
    pub pages: u64,
    /// How many of them, from the first on, are rewritten.
    pub working_set: u64,
}

impl Layout {
    /// Lays out `pages` resident pages, of which `working_set` are rewritten, and `directories` page directories in
    /// `ram` behind `image_end`. If they do not fit, the error is the number of pages that would.
    pub fn new(
        ram: &Ranges,
        image_end: u64,
        directories: u64,
        pages: u64,
        working_set: u64,
    ) -> Result<Self, u64> {
        let directories_at = image_end.next_multiple_of(PAGE);
        let versions = directories_at + directories * PAGE;
        let fits = |pages: u64| {
            let tables_end = (versions + pages * VERSION_BYTES).next_multiple_of(PAGE);
            let tables = Range { start: directories_at, bytes: tables_end - directories_at };
            let resident = ram.from(tables_end);
            (ram.contains(tables) && pages <= resident.pages()).then_some(resident)
        };
        match fits(pages) {
            Some(resident) => {
                Ok(Self { directories: directories_at, versions, pages, working_set, resident })
            }
            None => Err(largest(pages, |pages| fits(pages).is_some())),
        }
    }

    /// Guest-physical address of a resident page; 0 for one that does not exist.
    pub fn address(&self, page: u64) -> u64 {
        let mut at = page;
        for range in self.resident.as_slice() {
            if at < range.bytes / PAGE {
                return range.start + at * PAGE;
            }
            at -= range.bytes / PAGE;
        }
        0
    }

    /// The part of vCPU `index` of `count`: equal parts of pages and of working set, in order.
    pub fn share(&self, index: u64, count: u64) -> Share {
        let part = |of: u64| (of * index / count, of * (index + 1) / count);
        let (first, end) = part(self.pages);
        let (from, to) = part(self.working_set);
        Share { first, pages: end - first, working_set: (to - from).min(end - first) }
    }
}

/// The largest number up to `limit` for which `fits` holds, if it holds for all smaller ones.
fn largest(limit: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, limit);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}
