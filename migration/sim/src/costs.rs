//! How long a host takes for what the engine asks of it.

use std::time::Duration;

/// Time of each task. A side does one at a time, and hears nothing meanwhile, as the real driver does.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// The target makes the machine.
    pub prepare: Duration,
    /// Tracking starts, and what was touched is read.
    pub start_tracking: Duration,
    /// A harvest.
    pub harvest: Duration,
    /// The guest stops.
    pub pause: Duration,
    /// Its state is saved.
    pub save: Duration,
    /// The target loads the state.
    pub build: Duration,
    /// The guest starts at the target.
    pub run: Duration,
    /// Everything is put back after a failure.
    pub undo: Duration,
    /// A lane reads and encodes one page.
    pub page: Duration,
    /// From a lane's last write of a round until its driver hears of it.
    pub lane_word: Duration,
}

impl Default for Costs {
    /// What a host of some years takes for a guest of 1 GiB.
    fn default() -> Self {
        let us = Duration::from_micros;
        Self {
            prepare: us(5000),
            start_tracking: us(1000),
            harvest: us(100),
            pause: us(100),
            save: us(300),
            build: us(300),
            run: us(100),
            undo: us(500),
            page: Duration::from_nanos(500),
            lane_word: us(20),
        }
    }
}

impl Costs {
    /// A host that takes no time for anything.
    #[must_use]
    pub fn none() -> Self {
        let zero = Duration::ZERO;
        Self {
            prepare: zero,
            start_tracking: zero,
            harvest: zero,
            pause: zero,
            save: zero,
            build: zero,
            run: zero,
            undo: zero,
            page: zero,
            lane_word: zero,
        }
    }
}
