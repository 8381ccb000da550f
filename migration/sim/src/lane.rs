//! Both ends of a lane: the engine's [`LaneOut`] and [`LaneIn`], in steps instead of threads.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use godwit_migration::{
    arming,
    codec::Encoding,
    host::{HostError, PageBytes, PageSink},
    limits::PAGE_BYTES,
    page::Plan,
    wire::{LaneError, LaneEvent, LaneIn, LaneOut, LaneTotals},
};

use crate::guest::{self, Guest};

/// A lane that sends.
pub(crate) struct SendingLane {
    lane: u8,
    lanes: u8,
    out: LaneOut,
    job: Option<Job>,
}

/// What is left of a round.
struct Job {
    plan: Arc<Plan>,
    last: bool,
    /// Since when its pages are armed as they are sent.
    arms: Option<Duration>,
    blocks: std::vec::IntoIter<u32>,
    /// What is left of a block.
    pages: std::vec::IntoIter<u32>,
}

/// What a lane did in a step.
pub(crate) struct Step {
    /// Pages that it read.
    pub(crate) pages: u32,
    /// Whole frames, to be written. Empty when there is not yet enough for a write.
    pub(crate) bytes: Vec<u8>,
    /// Its sum, where the round is over.
    pub(crate) ended: Option<LaneTotals>,
}

impl SendingLane {
    pub(crate) fn new(lane: u8, lanes: u8, encoding: &Encoding) -> Self {
        Self { lane, lanes, out: LaneOut::new(encoding), job: None }
    }

    /// Begins a round, whose pages are armed as it goes, from `arms` on.
    pub(crate) fn begin(&mut self, round: u32, plan: &Arc<Plan>, last: bool, arms: Option<Duration>) {
        self.out.begin_round(round, last);
        let blocks: Vec<_> = plan
            .blocks(self.lane, self.lanes)
            .filter(|&block| plan.pages.runs_in(Plan::block_range(block)).next().is_some())
            .collect();
        self.job = Some(Job {
            plan: plan.clone(),
            last,
            arms,
            blocks: blocks.into_iter(),
            pages: vec![].into_iter(),
        });
    }

    /// Goes on until a write is due or a block has been read, whichever is first. The guest has been played up to
    /// now. `None` between rounds.
    pub(crate) fn step(&mut self, guest: &mut Guest, now: Duration) -> Option<Step> {
        let job = self.job.as_mut()?;
        if job.pages.len() == 0 {
            let Some(block) = job.blocks.next() else {
                let totals = self.out.end_round(job.last);
                self.job = None;
                return Some(Step { pages: 0, bytes: self.out.take().to_vec(), ended: Some(totals) });
            };
            job.arm(block, guest, self.out.round_pages() * u64::from(self.lanes), now);
            job.pages = job.pages_of(block, guest).into_iter();
        }
        let mut pages = 0;
        for page in job.pages.by_ref() {
            pages += 1;
            if self.out.page(page, &guest.memory) {
                return Some(Step { pages, bytes: self.out.take().to_vec(), ended: None });
            }
        }
        Some(Step { pages, bytes: vec![], ended: None })
    }
}

impl Job {
    /// Arms `block`, which is about to go, or all that are left where it no longer pays, if all lanes have sent so many pages.
    fn arm(&mut self, block: u32, guest: &mut Guest, sent: u64, now: Duration) {
        let Some(since) = self.arms else { return };
        guest.arm(&self.plan.pages, Plan::block_range(block));
        if !arming::pays(sent, now.saturating_sub(since)) {
            self.arms = None;
            let rest = self.blocks.as_slice().iter();
            rest.for_each(|&block| guest.arm(&self.plan.pages, Plan::block_range(block)));
        }
    }

    /// The pages of `block` that go, as of now.
    fn pages_of(&self, block: u32, guest: &Guest) -> Vec<u32> {
        let pages = self.plan.pages.runs_in(Plan::block_range(block)).flatten();
        if self.plan.skip_redirtied && self.arms.is_none() {
            pages.filter(|&page| !guest.is_logged(page)).collect()
        } else {
            pages.collect()
        }
    }
}

/// A lane that receives.
pub(crate) struct ReceivingLane(LaneIn);

impl ReceivingLane {
    pub(crate) fn new(lane: u8, lanes: u8, pages: u32) -> Self {
        Self(LaneIn::new(lane, lanes, pages))
    }

    /// Takes bytes in; what they say, as far as they make sense.
    pub(crate) fn take(&mut self, mut bytes: &[u8], sink: &Arrived) -> Vec<Result<LaneEvent, LaneError>> {
        let mut events = vec![];
        while !bytes.is_empty() {
            let space = self.0.space();
            let (piece, rest) = bytes.split_at(space.len().min(bytes.len()));
            space[..piece.len()].copy_from_slice(piece);
            self.0.filled(piece.len());
            bytes = rest;
            while let Some(event) = self.0.next(sink).transpose() {
                let over = event.is_err();
                events.push(event);
                if over {
                    return events;
                }
            }
        }
        events
    }

    /// Whether the source may close it here.
    pub(crate) fn at_end(&self) -> bool {
        self.0.at_end()
    }
}

/// Memory at the target: the version that each page shows, 0 for zeros.
pub(crate) struct Arrived(Mutex<Pages>);

struct Pages {
    shown: Vec<u32>,
    /// The newest version that ever came of each page.
    newest: Vec<u32>,
    wrong: Option<String>,
}

impl Arrived {
    pub(crate) fn new(pages: u32) -> Self {
        let none = vec![0; pages as usize];
        Self(Mutex::new(Pages { shown: none.clone(), newest: none, wrong: None }))
    }

    /// The version that each page shows, 0 for zeros.
    pub(crate) fn shown(&self) -> Vec<u32> {
        self.pages().shown.clone()
    }

    /// The first page that came torn, misplaced, or older than it had come before.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.pages().wrong.clone()
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageSink for Arrived {
    fn pages(&self) -> u32 {
        self.pages().shown.len() as u32
    }

    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        let version = guest::version_in(bytes);
        let mut right = [0; PAGE_BYTES];
        guest::fill(page, version, &mut right);
        let mut pages = self.pages();
        let at = page as usize;
        if *bytes != right {
            pages.wrong.get_or_insert(format!("page {page} came with content that it never had"));
        } else if version != 0 && version < pages.newest[at] {
            let text = format!("version {version} of page {page} came after version {}", pages.newest[at]);
            pages.wrong.get_or_insert(text);
        }
        pages.newest[at] = pages.newest[at].max(version);
        pages.shown[at] = version;
        Ok(())
    }

    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError> {
        guest::fill(page, self.pages().shown[page as usize], into);
        Ok(())
    }

    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        self.pages().shown[page as usize] = 0;
        Ok(())
    }
}
