//! What one worker has done and seen, readable by the heartbeat while the worker runs.

use std::sync::atomic::{AtomicU64, Ordering};

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
    /// When it wants to look at the clocks next, in nanoseconds of [`crate::clock::now_ns`]; 0 before the first time.
    pub due_ns: AtomicU64,
}

impl Stats {
    /// Takes the longest gap since it was last asked for, with the one that may be under way at `now_ns`: the heartbeat
    /// can be the first to run after a pause.
    pub fn take_gap_us(&self, now_ns: u64) -> u64 {
        let due_ns = match self.due_ns.load(Ordering::Relaxed) {
            0 => now_ns,
            due_ns => due_ns,
        };
        self.gap_us.swap(0, Ordering::Relaxed).max(now_ns.saturating_sub(due_ns) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_under_way_counts() {
        let stats = Stats::default();
        stats.gap_us.store(90, Ordering::Relaxed);
        assert_eq!(stats.take_gap_us(1 << 40), 90, "it has not begun to work");
        stats.due_ns.store(5_000_000, Ordering::Relaxed);
        assert_eq!(stats.take_gap_us(7_000_000), 2000);
        assert_eq!(stats.take_gap_us(4_000_000), 0, "it sleeps on purpose");
    }
}
