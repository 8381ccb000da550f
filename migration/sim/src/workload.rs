//! What a guest writes while it runs.
//!
//! A workload sees the guest's own time, which stands still while the guest does. It must not matter how that time is
//! sliced: the writes of one long call are those of many short ones, in the same order. That makes a migration's
//! effect on a guest exact, and lets a recorded trace stand in for a workload.

use std::{ops::Range, time::Duration};

use crate::random::Random;

/// A guest's writes as a function of its own time. A new one, or the replay of a trace, is one implementation.
pub trait Workload: Send {
    /// Calls `write` with the page of every write in the guest's time from `from` up to, not including, `to`.
    /// Each call continues where the last one ended, or begins again at zero.
    fn run(&mut self, from: Duration, to: Duration, write: &mut dyn FnMut(u32));
}

/// How many writes of a steady rate fall in the time before `at`.
fn writes_before(at: Duration, writes_per_s: f64) -> u64 {
    (at.as_secs_f64() * writes_per_s) as u64
}

/// Numbers of the writes in a slice of time.
fn writes(from: Duration, to: Duration, writes_per_s: f64) -> Range<u64> {
    writes_before(from, writes_per_s)..writes_before(to, writes_per_s)
}

fn pages_in(range: &Range<u32>) -> u32 {
    (range.end - range.start).max(1)
}

/// Writes nothing.
pub struct Idle;

impl Workload for Idle {
    fn run(&mut self, _: Duration, _: Duration, _: &mut dyn FnMut(u32)) {}
}

/// Walks over its pages again and again.
pub struct Sequential {
    pages: Range<u32>,
    writes_per_s: f64,
}

impl Sequential {
    /// Over `pages`, which is not empty.
    #[must_use]
    pub fn new(pages: Range<u32>, writes_per_s: f64) -> Self {
        Self { pages, writes_per_s }
    }
}

impl Workload for Sequential {
    fn run(&mut self, from: Duration, to: Duration, write: &mut dyn FnMut(u32)) {
        let count = u64::from(pages_in(&self.pages));
        writes(from, to, self.writes_per_s).for_each(|n| write(self.pages.start + (n % count) as u32));
    }
}

/// Writes any of its pages, each as likely as the other.
pub struct Uniform {
    pages: Range<u32>,
    writes_per_s: f64,
    random: Random,
}

impl Uniform {
    /// Over `pages`, which is not empty.
    #[must_use]
    pub fn new(pages: Range<u32>, writes_per_s: f64, seed: u64) -> Self {
        Self { pages, writes_per_s, random: Random::new(seed) }
    }
}

impl Workload for Uniform {
    fn run(&mut self, from: Duration, to: Duration, write: &mut dyn FnMut(u32)) {
        for _ in writes(from, to, self.writes_per_s) {
            write(self.pages.start + self.random.below(pages_in(&self.pages)));
        }
    }
}

/// Most writes go to few pages.
pub struct HotCold {
    hot: Range<u32>,
    cold: Range<u32>,
    hot_share: f64,
    writes_per_s: f64,
    random: Random,
}

impl HotCold {
    /// `hot_share` (0 to 1) of the writes go to `hot`, the others to `cold`; neither is empty.
    #[must_use]
    pub fn new(hot: Range<u32>, cold: Range<u32>, hot_share: f64, writes_per_s: f64, seed: u64) -> Self {
        Self { hot, cold, hot_share, writes_per_s, random: Random::new(seed) }
    }
}

impl Workload for HotCold {
    fn run(&mut self, from: Duration, to: Duration, write: &mut dyn FnMut(u32)) {
        for _ in writes(from, to, self.writes_per_s) {
            let range = if self.random.chance(self.hot_share) { &self.hot } else { &self.cold };
            write(range.start + self.random.below(pages_in(range)));
        }
    }
}

/// Workloads that take turns, for ever. Each sees the time since its turn began, so that a turn repeats itself.
pub struct Phases {
    turns: Vec<(Duration, Box<dyn Workload>)>,
    turn: usize,
    /// Guest time at which the turn began.
    began: Duration,
}

impl Phases {
    /// Each workload with the length of its turn. A turn of no length is skipped.
    #[must_use]
    pub fn new(turns: Vec<(Duration, Box<dyn Workload>)>) -> Self {
        let turns = turns.into_iter().filter(|(length, _)| !length.is_zero()).collect();
        Self { turns, turn: 0, began: Duration::ZERO }
    }
}

impl Workload for Phases {
    fn run(&mut self, mut from: Duration, to: Duration, write: &mut dyn FnMut(u32)) {
        while from < to {
            let Some((length, workload)) = self.turns.get_mut(self.turn) else { return };
            let end = self.began + *length;
            workload.run(from - self.began, to.min(end) - self.began, write);
            from = to.min(end);
            if from == end {
                self.began = end;
                self.turn = (self.turn + 1) % self.turns.len();
            }
        }
    }
}
