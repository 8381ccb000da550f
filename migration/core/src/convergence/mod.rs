//! The stop axis: rules that look at the rounds so far and say whether another one is worth it.
//!
//! Rules combine: the first that fires wins. A rule is one file and one line in [`STOPS`].

mod at_once;
mod change_rate;
mod deadline;
mod downtime_budget;
mod few_owed;
mod growth;
pub mod ladder;
mod rounds;
mod stall;
mod worthwhile;
mod xen;

#[cfg(test)]
mod convergence_test;

use std::time::Duration;

use crate::{limits::PAGE_BYTES, part::Row, slow::Throttle};

/// What is known after a harvest, before the next round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Rounds done.
    pub rounds: u32,
    /// Since the first round began.
    pub elapsed: Duration,
    /// How long the interval was that the last harvest ended.
    pub interval: Duration,
    /// Pages of the guest.
    pub guest_pages: u64,
    /// Pages sent so far, copies included.
    pub sent_pages: u64,
    /// Of these, pages that had been sent before.
    pub duplicate_pages: u64,
    /// Pages that the last round sent.
    pub round_pages: u64,
    /// Pages found dirty by the harvest that ended the last round.
    pub dirty_pages: u64,
    /// Pages found dirty by the harvest before that one; 0 before there were two.
    pub dirty_pages_before: u64,
    /// Pages still to be sent.
    pub owed_pages: u64,
    /// Measured rate of the lanes together, bytes/s on the wire; 0 before the first round.
    pub bytes_per_s: f64,
    /// Bytes on the wire per byte of page, as measured in the last telling round; 1 before. Pages of zeros, which
    /// weigh nothing, are left out: what a guest has just written is seldom zeros.
    pub wire_ratio: f64,
    /// The same as it is to be expected of the pages still to be sent.
    pub owed_ratio: f64,
    /// What a stop-and-copy costs beside its pages: pause, harvest, state, round trips, restore.
    pub fixed_cost: Duration,
    /// The part of it during which pages travel already: the state is saved while the lanes send.
    pub overlap: Duration,
    /// How long the guest runs on after a harvest that ends pre-copy: until that harvest is done and the guest paused.
    pub exposed: Duration,
    /// Downtime the user asked for.
    pub budget: Duration,
    /// How the guest is held back now.
    pub throttle: Throttle,
}

impl Standing {
    /// Rate at which bytes of pages arrive at the target, reading and encoding included; 0 before the first round.
    #[must_use]
    pub fn page_bytes_per_s(&self) -> f64 {
        page_rate(self.bytes_per_s, self.wire_ratio)
    }

    /// Rate at which the guest dirtied bytes of pages, in the interval that the last harvest ended. A page that was
    /// written again in it counts once.
    #[must_use]
    pub fn dirty_bytes_per_s(&self) -> f64 {
        let seconds = self.interval.as_secs_f64();
        if seconds > 0.0 { (self.dirty_pages * PAGE_BYTES as u64) as f64 / seconds } else { 0.0 }
    }

    /// Downtime if pre-copy stopped now: what is owed and what the guest still dirties until it stands, at the rate at
    /// which bytes have arrived, beside and after the fixed cost.
    #[must_use]
    pub fn predicted_downtime(&self) -> Option<Duration> {
        let more = self.dirty_bytes_per_s() * self.exposed.as_secs_f64();
        let bytes = (self.owed_pages * PAGE_BYTES as u64) as f64 + more;
        let rate = page_rate(self.bytes_per_s, self.owed_ratio);
        if self.owed_pages == 0 && (rate <= 0.0 || bytes <= 0.0) {
            return Some(self.fixed_cost);
        }
        (rate > 0.0).then(|| {
            let pages = Duration::try_from_secs_f64(bytes / rate).unwrap_or(Duration::MAX / 2);
            self.fixed_cost.saturating_add(pages.saturating_sub(self.overlap))
        })
    }
}

/// Bytes of pages per second, where `bytes_per_s` go over the wire and a byte of page makes `wire_ratio` of them.
pub(crate) fn page_rate(bytes_per_s: f64, wire_ratio: f64) -> f64 {
    if wire_ratio > 0.0 { bytes_per_s / wire_ratio } else { bytes_per_s }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another round.
    Again,
    /// Stop and copy, for this reason.
    Final(String),
    /// Give the migration up, for this reason.
    Cancel(String),
}

/// A rule of the stop axis.
pub trait Convergence: Send {
    /// Decides before the first round, and after the harvest that ends each.
    fn decide(&mut self, standing: &Standing) -> Verdict;
}

/// All rules.
pub static STOPS: &[Row<dyn Convergence>] = &[
    downtime_budget::ROW,
    worthwhile::ROW,
    xen::ROW,
    growth::ROW,
    change_rate::ROW,
    few_owed::ROW,
    rounds::ROW,
    at_once::ROW,
    deadline::ROW,
    stall::ROW,
];
