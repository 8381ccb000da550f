//! When pre-copy is over: rules that look at the rounds so far and say whether another one is worth it.
//!
//! Rules combine: the first that fires wins. A rule is one file and one line in [`STOPS`].

mod downtime_budget;
mod xen;

#[cfg(test)]
mod convergence_test;

use std::time::Duration;

use crate::limits::PAGE_BYTES;

/// What is known after a harvest, before the next round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Rounds done.
    pub rounds: u32,
    /// Pages of the guest.
    pub guest_pages: u64,
    /// Pages sent so far, copies included.
    pub sent_pages: u64,
    /// Pages found dirty by the harvest that ended the last round.
    pub dirty_pages: u64,
    /// Pages still to be sent.
    pub owed_pages: u64,
    /// Measured rate of the lanes together, bytes/s; 0 before the first round.
    pub bytes_per_s: f64,
    /// What a stop-and-copy costs beside its pages: pause, state, round trips, restore.
    pub fixed_cost: Duration,
    /// Downtime the user asked for.
    pub budget: Duration,
}

impl Standing {
    /// Downtime if pre-copy stopped now: what is owed, raw, at the measured rate, and the fixed cost.
    #[must_use]
    pub fn predicted_downtime(&self) -> Option<Duration> {
        if self.owed_pages == 0 {
            return Some(self.fixed_cost);
        }
        let seconds = (self.owed_pages * PAGE_BYTES as u64) as f64 / self.bytes_per_s;
        (self.bytes_per_s > 0.0)
            .then(|| self.fixed_cost + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2))
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another round.
    Again,
    /// Stop and copy, for this reason.
    Final(String),
}

/// The stop axis of a preset.
pub trait Convergence: Send {
    /// Decides after a harvest.
    fn decide(&mut self, standing: &Standing) -> Verdict;
}

/// A row of the registry.
pub struct StopRow {
    /// Name in presets.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Makes one for a migration.
    pub make: fn() -> Box<dyn Convergence>,
}

/// All rules.
pub static STOPS: &[StopRow] = &[downtime_budget::ROW, xen::ROW];
