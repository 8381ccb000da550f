//! What came of a run.

use std::time::Duration;

use godwit_migration::{error::MigrationError, report::Report, target::Arrival};

use crate::fault::Side;

/// A moment of a run, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Duration,
    /// Where.
    pub side: Side,
    /// What.
    pub what: String,
}

/// A migration that is over, as somebody saw it who stood on both sides.
#[derive(Clone, Debug)]
pub struct Run {
    /// The source's report.
    pub report: Report,
    /// What the target came to. `None`: no source ever reached it.
    pub target: Option<Result<Arrival, MigrationError>>,
    /// The guest runs at the source.
    pub source_runs: bool,
    /// The right to run it is at the source.
    pub source_has_right: bool,
    /// Its writes are being tracked there.
    pub source_tracks: bool,
    /// The guest is slowed there.
    pub source_slowed: bool,
    /// Time that was taken from the guest by slowing it.
    pub guest_slowed: Duration,
    /// The guest runs at the target.
    pub target_runs: bool,
    /// The version of every page at the source: how often it was written before the pause; 0 is untouched.
    pub versions: Vec<u32>,
    /// Pages of the target that are not as the source's. Empty where the target does not run the guest.
    pub differing: Vec<u32>,
    /// Promises that were broken in any step, and by whom. Always empty, unless the engine is wrong: never two running
    /// copies, no run without the right to, no page torn, misplaced or older than it was.
    pub violations: Vec<String>,
    /// From the pause until the guest ran at the target, by the lab's clock.
    pub stood_still: Option<Duration>,
    /// The guest's own time at the source, when the migration ended there.
    pub guest_ran: Duration,
    /// Bytes that the lanes put on the link.
    pub lane_bytes: u64,
    /// Number of steps: arrivals, words, ends of tasks, deadlines.
    pub steps: u64,
    /// What the two sides did, in order.
    pub timeline: Vec<Entry>,
}
