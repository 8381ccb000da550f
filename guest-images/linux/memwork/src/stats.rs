//! What one worker has done and seen, readable by the heartbeat while the worker runs.

use std::sync::atomic::AtomicU64;

/// Counters of one worker. `gap_us` is since the last heartbeat, everything else since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Times the worker went round its loop: a CPU that stands still shows here.
    pub ticks: AtomicU64,
    /// Pages written.
    pub pages: AtomicU64,
    /// Pages checked.
    pub checked: AtomicU64,
    /// Computations finished with the right answer.
    pub sums: AtomicU64,
    /// Whatever was wrong: pages, answers, clocks.
    pub bad: AtomicU64,
    /// Longest time, in microseconds, that the worker was not running when it wanted to.
    pub gap_us: AtomicU64,
}
