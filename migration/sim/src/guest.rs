//! A virtual guest: memory as a version of each page, a workload that writes to it while it runs, a dirty log.
//!
//! It knows nothing of a migration. Content is a function of page and version, so that whoever receives a page can
//! tell whether it is whole, and which version it is.

use std::{ops::Range, time::Duration};

use godwit_migration::{
    arming::Arming,
    host::{HostError, PageBytes, PageSource},
    limits::{PAGE_BYTES, REGION_ALIGN_PAGES},
    page::PageSet,
    shape::{CpuShape, MachineShape, MemoryShape, Region},
    slow::Throttle,
};

use crate::{random::Random, workload::Workload};

/// One in so many pages holds zeros at any time: guests zero pages, too.
const ZERO_EVERY: u32 = 16;
/// Bytes of a page that repeat its number and version.
const STAMP_BYTES: usize = 8;
/// How long a guest with a dirty limit runs before it is looked at what it dirtied, and how long it waits at most then.
const SLICE: Duration = Duration::from_millis(1);
const MOST_WAIT: Duration = Duration::from_secs(1);

/// A guest to be: how much memory, what is in it, what it does.
pub struct GuestSpec {
    pages: u32,
    resident: u32,
    workload: Box<dyn Workload>,
    frees: Option<Frees>,
}

/// What a guest frees, again and again.
#[derive(Clone, Debug)]
struct Frees {
    pages: Range<u32>,
    every: Duration,
}

impl GuestSpec {
    /// A guest of `pages` pages, rounded up to whole regions and at least one. The first `resident` of them have
    /// content when the migration begins; the others were never touched. The workload may write to any of them;
    /// pages that it names beyond the guest's are left alone.
    #[must_use]
    pub fn new(pages: u32, resident: u32, workload: Box<dyn Workload>) -> Self {
        let pages = pages.max(1).next_multiple_of(REGION_ALIGN_PAGES);
        Self { pages, resident: resident.min(pages), workload, frees: None }
    }

    /// The guest frees `pages`, all of them, at once and then `every` so much of its own time (not nothing), and tells
    /// of it. A page that it writes to it has taken again.
    #[must_use]
    pub fn freeing(mut self, pages: Range<u32>, every: Duration) -> Self {
        self.frees = (!every.is_zero()).then_some(Frees { pages, every });
        self
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

/// The content of `page` in its `version`: zeros, or noise, which no coder makes smaller, between page and version at
/// both of its ends.
pub(crate) fn fill(page: u32, version: u32, into: &mut PageBytes) {
    into.fill(0);
    if !is_zero(page, version) {
        let mut noise = Random::new(u64::from(page) << 32 | u64::from(version));
        into.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&noise.next().to_le_bytes()));
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

/// The first multiple of `every` after `at`.
fn next_after(at: Duration, every: Duration) -> Duration {
    let turns = at.as_nanos() / every.as_nanos().max(1) + 1;
    every.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
}

/// A guest and its dirty log.
pub(crate) struct Guest {
    pub(crate) memory: Memory,
    workload: Box<dyn Workload>,
    /// What was written since the last harvest, where tracking is on.
    log: Option<PageSet>,
    /// Pages that are in the log because they are not armed, up to the first harvest.
    unarmed: Option<PageSet>,
    running: bool,
    /// The guest's own time, and the moment up to which it has been played.
    ran: Duration,
    played: Duration,
    writes: u64,
    throttle: Throttle,
    /// Time that was taken from it.
    slowed: Duration,
    /// How long it still waits because of what it dirtied.
    waits: Duration,
    frees: Option<Frees>,
    /// Pages that are free.
    free: PageSet,
    /// Pages that were freed since anybody asked, and not taken again.
    freed: PageSet,
}

impl Guest {
    /// A guest that runs.
    pub(crate) fn new(spec: GuestSpec) -> Self {
        let GuestSpec { pages, resident, workload, frees } = spec;
        let versions = (0..pages).map(|page| u32::from(page < resident)).collect();
        let mut guest = Self {
            memory: Memory { versions },
            workload,
            log: None,
            unarmed: None,
            running: true,
            ran: Duration::ZERO,
            played: Duration::ZERO,
            writes: 0,
            throttle: Throttle::None,
            slowed: Duration::ZERO,
            waits: Duration::ZERO,
            frees,
            free: PageSet::empty(pages),
            freed: PageSet::empty(pages),
        };
        guest.free_again();
        guest
    }

    /// Frees what it frees.
    fn free_again(&mut self) {
        if let Some(frees) = &self.frees {
            let end = frees.pages.end.min(self.memory.pages());
            self.free.insert_range(frees.pages.start.min(end)..end);
            self.freed.insert_range(frees.pages.start.min(end)..end);
        }
    }

    /// The pages that were freed since the last time, and were not taken again.
    pub(crate) fn take_freed(&mut self) -> PageSet {
        let freed = self.freed.clone();
        self.freed.clear();
        freed
    }

    /// The pages that are free.
    pub(crate) fn free(&self) -> &PageSet {
        &self.free
    }

    /// Whether it is slowed.
    pub(crate) fn throttled(&self) -> bool {
        self.throttle != Throttle::None
    }

    /// The time that was taken from it, up to where it has been played.
    pub(crate) fn slowed(&self) -> Duration {
        self.slowed
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
        match self.throttle {
            Throttle::DirtyLimit(limit) => self.run_limited(time, limit),
            Throttle::None | Throttle::Share(_) => {
                let own = self.own_time(time);
                self.slowed += time.saturating_sub(own);
                self.run_for(own);
            }
        }
    }

    /// Runs as a vCPU does that may dirty `limit` pages a second: after each slice it waits until what it dirtied is
    /// due.
    fn run_limited(&mut self, time: Duration, limit: f64) {
        let mut left = time;
        while !left.is_zero() {
            let sleep = self.waits.min(left);
            (self.waits, self.slowed, left) = (self.waits - sleep, self.slowed + sleep, left - sleep);
            let slice = SLICE.min(left);
            let before = self.log.as_ref().map_or(0, PageSet::count);
            self.run_for(slice);
            left -= slice;
            let dirtied = self.log.as_ref().map_or(0, PageSet::count) - before;
            let due = Duration::try_from_secs_f64(f64::from(dirtied) / limit).unwrap_or(MOST_WAIT);
            self.waits += due.saturating_sub(slice).min(MOST_WAIT);
        }
    }

    /// Runs for `time` of its own.
    fn run_for(&mut self, time: Duration) {
        let end = self.ran + time;
        // Up to each moment at which it frees.
        while let Some(frees) = self.frees.as_ref().map(|frees| next_after(self.ran, frees.every))
            && frees <= end
        {
            self.run_until(frees);
            self.free_again();
        }
        self.run_until(end);
    }

    /// Lets it write until `end` of its own time.
    fn run_until(&mut self, end: Duration) {
        let (versions, log, writes) = (&mut self.memory.versions, &mut self.log, &mut self.writes);
        let (free, freed) = (&mut self.free, &mut self.freed);
        self.workload.run(self.ran, end, &mut |page| {
            if let Some(version) = versions.get_mut(page as usize) {
                *version += 1;
                *writes += 1;
                free.remove(page);
                freed.remove(page);
                if let Some(log) = log {
                    log.insert(page);
                }
            }
        });
        self.ran = end;
    }

    /// How much of `time` a guest that runs has to itself, where that does not depend on what it dirties.
    fn own_time(&self, time: Duration) -> Duration {
        match self.throttle {
            Throttle::Share(share) => time.mul_f64((1.0 - share).clamp(0.0, 1.0)),
            Throttle::None | Throttle::DirtyLimit(_) => time,
        }
    }

    /// Slows the guest from `now` on, or lets it go.
    pub(crate) fn throttle(&mut self, now: Duration, throttle: Throttle) {
        self.play(now);
        self.throttle = throttle;
        self.waits = Duration::ZERO;
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
        if self.running { self.ran + self.own_time(now.saturating_sub(self.played)) } else { self.ran }
    }

    pub(crate) fn tracked(&self) -> bool {
        self.log.is_some()
    }

    /// Starts tracking. Where the guest tells what it frees, all pages are armed at once.
    pub(crate) fn begin_tracking(&mut self, now: Duration, arming: Arming) {
        self.play(now);
        let mut log = PageSet::empty(self.memory.pages());
        if arming == Arming::AsSent && self.frees.is_none() {
            self.memory.touched(&mut log).expect("memory tells what was touched");
            self.unarmed = Some(log.clone());
        }
        self.log = Some(log);
    }

    /// Arms what is not armed and not in `round`. False where all is armed.
    pub(crate) fn arm_others(&mut self, round: &PageSet) -> bool {
        let (Some(mut others), Some(log)) = (self.unarmed.take(), &mut self.log) else { return false };
        others.subtract(round);
        log.subtract(&others);
        true
    }

    /// Arms those of `pages`, none of which is armed, that are in `range`.
    pub(crate) fn arm(&mut self, pages: &PageSet, range: Range<u32>) {
        if let Some(log) = &mut self.log {
            pages.runs_in(range).for_each(|run| log.remove_range(run));
        }
    }

    pub(crate) fn end_tracking(&mut self) {
        (self.log, self.unarmed) = (None, None);
    }

    /// What was written since the last harvest; forgets it.
    pub(crate) fn harvest(&mut self, now: Duration) -> PageSet {
        self.play(now);
        self.unarmed = None;
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
