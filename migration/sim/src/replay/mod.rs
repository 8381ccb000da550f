//! Replays: whole migrations on virtual time over a dirty trace, fast enough to compare thousands of them.
//!
//! The machines are the real ones, [`Source`](godwit_migration::source::Source) and
//! [`Target`](godwit_migration::target::Target), with the real policies, orders, stop rules and slows; so is what the
//! source keeps of each page. What is not real is the bytes: no page is read or encoded. How long a round takes and what
//! it puts on the wire comes of a [`Model`] of link, coders and hosts, and of what the trace says of the guest's content.
//! The neighbour [`Lab`](crate::Lab) does the opposite: every byte, small guests.
//!
//! | file | owns |
//! |---|---|
//! | `model` | the link, the coders, the hosts: all that a run can set |
//! | `guest` | the guest that a [`Tape`] stands in for: its log, its own time, how it is slowed |
//! | `kept` | the pages that the lanes' caches hold |
//! | `play` | the two machines and the virtual clock |

mod guest;
mod kept;
mod model;
mod play;

#[cfg(test)]
mod replay_test;

use std::time::Duration;

use godwit_migration::{preset::Scheme, report::Report, source::OnTimeout};

pub use self::model::{Coders, Model};
use crate::trace::Tape;

/// Longest that pre-copy of a replay may take unless somebody says otherwise: a scheme that does not converge is
/// forced, so that it has a downtime to be compared by.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// A migration to be replayed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The scheme.
    pub scheme: Scheme,
    /// Number of lanes, at least 1.
    pub lanes: u8,
    /// Downtime that may be.
    pub downtime: Duration,
    /// How long pre-copy may take.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// The world around it.
    pub model: Model,
    /// Guest time at which the migration begins, from the beginning of the trace.
    pub start: Duration,
}

/// A replay that is over.
#[derive(Clone, Debug)]
pub struct Played {
    /// The source's report; its CPU time is what the model says of the lanes.
    pub report: Report,
    /// From the pause until the guest ran at the target, by the lab's clock.
    pub stood_still: Duration,
    /// Share of its own time that the guest kept while it ran: less than 1 where it was slowed or met faults.
    pub kept: f64,
}

impl Replay {
    /// One lane, 30 ms of downtime, forced after [`TIMEOUT`].
    #[must_use]
    pub fn new(scheme: Scheme, model: Model) -> Self {
        Self {
            scheme,
            lanes: 1,
            downtime: Duration::from_millis(30),
            timeout: Some(TIMEOUT),
            on_timeout: OnTimeout::Force,
            model,
            start: Duration::ZERO,
        }
    }

    /// Plays it over `tape`, which repeats itself as often as it must. The same replay gives the same result.
    #[must_use]
    pub fn run(&self, tape: &Tape) -> Played {
        play::play(self, tape)
    }
}
