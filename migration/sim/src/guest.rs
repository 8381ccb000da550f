//! A virtual guest: memory as a version of each page, a workload that writes to it while it runs, a dirty log.
//!
//! It knows nothing of a migration. Content is a function of page and version, so that whoever receives a page can
//! tell whether it is whole, and which version it is.

use std::time::Duration;

use godwit_migration::{
    host::{HostError, PageBytes, PageSource},
    limits::{PAGE_BYTES, REGION_ALIGN_PAGES},
    page::PageSet,
    shape::{CpuShape, MachineShape, MemoryShape, Region},
};

use crate::workload::Workload;

/// One in so many pages holds zeros at any time: guests zero pages, too.
const ZERO_EVERY: u32 = 16;
/// Bytes of a page that repeat its number and version.
const STAMP_BYTES: usize = 8;

/// A guest to be: how much memory, what is in it, what it does.
pub struct GuestSpec {
    pages: u32,
    resident: u32,
    workload: Box<dyn Workload>,
}

impl GuestSpec {
    /// A guest of `pages` pages, rounded up to whole regions and at least one. The first `resident` of them have
    /// content when the migration begins; the others were never touched. The workload may write to any of them;
    /// pages that it names beyond the guest's are left alone.
    #[must_use]
    pub fn new(pages: u32, resident: u32, workload: Box<dyn Workload>) -> Self {
        let pages = pages.max(1).next_multiple_of(REGION_ALIGN_PAGES);
        Self { pages, resident: resident.min(pages), workload }
    }
}

/// Memory: the version of every page. Version 0 was never written.
pub(crate) struct Memory {
    versions: Vec<u32>,
}

impl PageSource for Memory {
    fn pages(&self) -> u32 {
        self.versions.len() as u32
    }

    fn read(&self, page: u32, into: &mut PageBytes) {
        fill(page, self.versions[page as usize], into);
    }

    fn touched(&self, into: &mut PageSet) -> Result<(), HostError> {
        (0..)
            .zip(&self.versions)
            .filter(|(_, version)| **version > 0)
            .for_each(|(page, _)| into.insert(page));
        Ok(())
    }
}

/// The content of `page` in its `version`: zeros, or page and version at both of its ends.
pub(crate) fn fill(page: u32, version: u32, into: &mut PageBytes) {
    into.fill(0);
    if !is_zero(page, version) {
        let (page, version) = (page.to_le_bytes(), version.to_le_bytes());
        for at in [0, PAGE_BYTES - STAMP_BYTES] {
            into[at..at + 4].copy_from_slice(&page);
            into[at + 4..at + STAMP_BYTES].copy_from_slice(&version);
        }
    }
}

/// Whether that version of the page is all zeros.
pub(crate) fn is_zero(page: u32, version: u32) -> bool {
    version == 0 || page.wrapping_add(version).is_multiple_of(ZERO_EVERY)
}

/// The version that a page with content shows.
pub(crate) fn version_in(bytes: &PageBytes) -> u32 {
    u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// A guest and its dirty log.
pub(crate) struct Guest {
    pub(crate) memory: Memory,
    workload: Box<dyn Workload>,
    /// What was written since the last harvest, where tracking is on.
    log: Option<PageSet>,
    running: bool,
    /// The guest's own time, and the moment up to which it has been played.
    ran: Duration,
    played: Duration,
    writes: u64,
}

impl Guest {
    /// A guest that runs.
    pub(crate) fn new(spec: GuestSpec) -> Self {
        let GuestSpec { pages, resident, workload } = spec;
        let versions = (0..pages).map(|page| u32::from(page < resident)).collect();
        Self {
            memory: Memory { versions },
            workload,
            log: None,
            running: true,
            ran: Duration::ZERO,
            played: Duration::ZERO,
            writes: 0,
        }
    }

    pub(crate) fn shape(&self) -> MachineShape {
        let bytes = u64::from(self.memory.pages()) * PAGE_BYTES as u64;
        MachineShape {
            memory: MemoryShape { regions: vec![Region { gpa: 0, bytes }] },
            cpus: CpuShape { count: 1, ..CpuShape::default() },
            devices: vec![],
        }
    }

    /// Lets the guest write what it writes until `now`.
    pub(crate) fn play(&mut self, now: Duration) {
        let Some(time) = now.checked_sub(self.played) else { return };
        self.played = now;
        if !self.running {
            return;
        }
        let (versions, log, writes) = (&mut self.memory.versions, &mut self.log, &mut self.writes);
        self.workload.run(self.ran, self.ran + time, &mut |page| {
            if let Some(version) = versions.get_mut(page as usize) {
                *version += 1;
                *writes += 1;
                if let Some(log) = log {
                    log.insert(page);
                }
            }
        });
        self.ran += time;
    }

    pub(crate) fn runs(&self) -> bool {
        self.running
    }

    pub(crate) fn pause(&mut self, now: Duration) {
        self.play(now);
        self.running = false;
    }

    pub(crate) fn resume(&mut self, now: Duration) {
        self.play(now);
        self.running = true;
    }

    /// Writes so far.
    pub(crate) fn writes(&self) -> u64 {
        self.writes
    }

    /// The guest's own time at `now`.
    pub(crate) fn ran(&self, now: Duration) -> Duration {
        if self.running { self.ran + now.saturating_sub(self.played) } else { self.ran }
    }

    pub(crate) fn tracked(&self) -> bool {
        self.log.is_some()
    }

    pub(crate) fn begin_tracking(&mut self, now: Duration) {
        self.play(now);
        self.log = Some(PageSet::empty(self.memory.pages()));
    }

    pub(crate) fn end_tracking(&mut self) {
        self.log = None;
    }

    /// What was written since the last harvest; forgets it.
    pub(crate) fn harvest(&mut self, now: Duration) -> PageSet {
        self.play(now);
        let empty = PageSet::empty(self.memory.pages());
        self.log.as_mut().map_or(empty.clone(), |log| std::mem::replace(log, empty))
    }

    /// Whether a harvest would find `page` now.
    pub(crate) fn is_logged(&self, page: u32) -> bool {
        self.log.as_ref().is_some_and(|log| log.contains(page))
    }

    /// The version of every page.
    pub(crate) fn versions(&self) -> &[u32] {
        &self.memory.versions
    }
}
