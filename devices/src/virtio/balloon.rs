//! The traditional memory balloon (virtio 1.2 §5.5): the guest gives memory back, says which pages it has free, and
//! tells how its memory is used.
//!
//! - Inflating and free page reporting give pages back to this host at once: their memory is released, and reads as
//!   zeros. Such pages are never populated at a target either, so a balloon moves by not being sent.
//! - Free page hinting is a report that a migration asks for ([`report`]): these pages keep their memory here, and need
//!   not be sent.
//! - Statistics come when they are asked for ([`statistics`]): the driver leaves a buffer, which is given back to have
//!   it filled anew.
//! - Page poisoning is not offered: a driver that needs its pages to keep what they hold then does without reporting.
//!
//! Neighbours: [`pages`] reads page numbers and releases memory, [`config`] is what the user says of it, [`state`] what is
//! saved. It never knows the engine: who moves the guest asks for free pages through the transport.

#[cfg(test)]
mod balloon_test;
mod config;
#[cfg(test)]
mod config_test;
#[cfg(test)]
mod driver_test;
mod pages;
mod report;
#[cfg(test)]
mod report_test;
mod state;
mod statistics;
mod sys;

use std::ops::Range;

use virtio_queue::{Queue, QueueT};

pub use self::{
    config::BalloonConfig,
    pages::BALLOON_PAGE_BYTES,
    state::BalloonState,
    statistics::{STATISTICS, Statistics},
};
use self::{report::FreeReport, statistics::StatisticsQueue};
use super::{
    ServeError, Served, VirtioDevice,
    queue::{Offered, Taken, serve_each},
};
use crate::{Counters, GuestMemory};

/// Device type of a traditional memory balloon.
const DEVICE_TYPE: u32 = 5;
const F_STATS_VQ: u64 = 1 << 1;
const F_DEFLATE_ON_OOM: u64 = 1 << 2;
const F_FREE_PAGE_HINT: u64 = 1 << 3;
const F_REPORTING: u64 = 1 << 5;

const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATS: usize = 2;
const HINTS: usize = 3;

/// Bytes of the configuration space, and where in it the driver writes how many pages it has given.
const CONFIG_BYTES: usize = 16;
const ACTUAL: Range<usize> = 4..8;

/// A balloon.
#[derive(Debug)]
pub struct Balloon {
    deflate_on_oom: bool,
    reporting: bool,
    hinting: bool,
    /// Features that the driver has accepted, while it is active.
    accepted: u64,
    /// Pages that the driver shall give.
    target_pages: u32,
    /// Pages that it says it has given.
    actual_pages: u32,
    generation: u32,
    report: FreeReport,
    statistics: StatisticsQueue,
}

impl Balloon {
    /// A balloon that asks for `config.size` bytes.
    #[must_use]
    pub fn new(config: &BalloonConfig) -> Self {
        Self {
            deflate_on_oom: config.deflate_on_oom,
            reporting: config.free_page_reporting,
            hinting: config.free_page_hinting,
            accepted: 0,
            target_pages: pages_of(config.size),
            actual_pages: 0,
            generation: 0,
            report: FreeReport::default(),
            statistics: StatisticsQueue::default(),
        }
    }

    /// Asks the driver for so much memory from here on, rounded down to pages.
    pub fn set_target_bytes(&mut self, bytes: u64) {
        let pages = pages_of(bytes);
        if pages != self.target_pages {
            self.target_pages = pages;
            self.config_changed();
        }
    }

    /// Memory that the driver is asked for, in bytes.
    #[must_use]
    pub fn target_bytes(&self) -> u64 {
        u64::from(self.target_pages) * BALLOON_PAGE_BYTES
    }

    /// Memory that the driver says it has given, in bytes.
    #[must_use]
    pub fn actual_bytes(&self) -> u64 {
        u64::from(self.actual_pages) * BALLOON_PAGE_BYTES
    }

    /// What the driver told last of its memory; nothing before it has told anything.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        self.statistics.last()
    }

    /// Asks for new statistics; whether there is a driver that gives any.
    pub fn ask_statistics(&mut self) -> bool {
        let gives = self.accepted & F_STATS_VQ != 0;
        if gives {
            self.statistics.ask();
        }
        gives
    }

    /// Whether statistics that were asked for have not come yet.
    #[must_use]
    pub fn awaits_statistics(&self) -> bool {
        self.statistics.is_asked()
    }

    /// Begins a report: what is free at some moment from here on, until [`take_free`](Self::take_free). A driver that
    /// reports free pages anyway is not asked for hints: what it has free is released already, and would be populated
    /// again by taking it to name it.
    pub fn ask_free(&mut self) {
        let hints = self.hinting && self.accepted & (F_FREE_PAGE_HINT | F_REPORTING) == F_FREE_PAGE_HINT;
        self.report.ask(hints);
        if hints {
            self.config_changed();
        }
    }

    /// Whether the driver has yet to tell what was free when it was asked.
    #[must_use]
    pub fn awaits_free(&self) -> bool {
        self.report.is_awaited()
    }

    /// What has come to the report since it was looked at last, as [`take_free`](Self::take_free) gives it.
    pub fn more_free(&mut self) -> Vec<Range<u64>> {
        self.report.more()
    }

    /// Ends a report: guest-physical addresses of whole pages that were free at some moment since it was begun,
    /// but for those that [`more_free`](Self::more_free) has given.
    pub fn take_free(&mut self) -> Vec<Range<u64>> {
        self.report.take()
    }

    /// No report is wanted any more: the driver gets the pages back that it has set aside to report them.
    pub fn end_free(&mut self) {
        if self.report.end() {
            self.config_changed();
        }
    }

    fn config_changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    fn config(&self) -> [u8; CONFIG_BYTES] {
        let words = [self.target_pages, self.actual_pages, self.report.command(), 0];
        let mut bytes = [0; CONFIG_BYTES];
        for (at, word) in bytes.chunks_mut(4).zip(words) {
            at.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// Whole pages in so many bytes; no guest has more than fit.
fn pages_of(bytes: u64) -> u32 {
    u32::try_from(bytes / BALLOON_PAGE_BYTES).unwrap_or(u32::MAX)
}

impl VirtioDevice for Balloon {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        let chosen = |feature, is_chosen: bool| if is_chosen { feature } else { 0 };
        F_STATS_VQ
            | F_FREE_PAGE_HINT
            | chosen(F_DEFLATE_ON_OOM, self.deflate_on_oom)
            | chosen(F_REPORTING, self.reporting)
    }

    fn queue_sizes(&self) -> &[u16] {
        config::queue_sizes(self.reporting)
    }

    /// Its size and the one that was asked for, in bytes, and what the driver told last.
    fn counters(&self) -> Counters {
        let own = [("actual", self.actual_bytes()), ("target", self.target_bytes())];
        own.into_iter().chain(self.statistics().iter()).collect()
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let config = self.config();
        for (at, byte) in (offset..).zip(data) {
            *byte = usize::try_from(at).ok().and_then(|at| config.get(at)).copied().unwrap_or(0);
        }
    }

    /// Only how many pages it has given is the driver's to write.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let mut config = self.config();
        for (at, byte) in (offset..).zip(data) {
            if let Some(at) = usize::try_from(at).ok().filter(|at| ACTUAL.contains(at)) {
                config[at] = *byte;
            }
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|byte| config[ACTUAL.start + byte]);
        self.actual_pages = u32::from_le_bytes([a, b, c, d]);
    }

    fn config_generation(&self) -> u32 {
        self.generation
    }

    fn activate(&mut self, features: u64) {
        self.accepted = features;
    }

    /// What the user asked for stays; what the driver did is forgotten.
    fn reset(&mut self) {
        self.accepted = 0;
        self.actual_pages = 0;
        self.report.forget();
        self.statistics = StatisticsQueue::default();
    }

    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let (report, since) = (&mut self.report, queue.next_used());
        match index {
            INFLATE => serve_each(queue, memory, since, |Offered { buffers, .. }| {
                for run in pages::numbered(buffers, memory)? {
                    pages::release(memory, run.clone())?;
                    report.add(run);
                }
                Ok(Taken::Done(0))
            }),
            // Memory comes back when it is touched.
            DEFLATE => serve_each(queue, memory, since, |Offered { buffers, .. }| {
                pages::numbered(buffers, memory).map(|_| Taken::Done(0))
            }),
            STATS => self.statistics.serve(queue, memory),
            HINTS => serve_each(queue, memory, since, |Offered { buffers, .. }| {
                report.hinted(buffers, memory).map(|()| Taken::Done(0))
            }),
            _ => serve_each(queue, memory, since, |Offered { buffers, .. }| {
                for run in pages::blocks(buffers)? {
                    pages::release(memory, run.clone())?;
                    report.add(run);
                }
                Ok(Taken::Done(0))
            }),
        }
    }

    /// Nothing is ever in flight outside of `serve`.
    fn pause(&mut self) {}

    /// A migration is over for a guest that runs on, here as at its target.
    fn resume(&mut self) {
        self.end_free();
    }
}
