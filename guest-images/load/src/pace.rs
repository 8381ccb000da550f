//! When the next page is due, and which page it is.
//!
//! Arithmetic on ticks; knows neither the counter nor memory. Neighbours: `worker` (obeys), `parameters`.

use crate::content::Random;
use crate::parameters::Pattern;

/// Fractions of a tick that the pace is kept in, so that a rate is met exactly over hours.
const FRACTION_BITS: u32 = 8;
/// Length of a burst, and of the rest that follows it, in [`Pattern::Phases`].
const PHASE_SECONDS: u64 = 1;
/// What a vCPU that was held up makes up for afterwards, as a part of a second; what it missed before is lost.
const ARREARS: u64 = 50;

/// Says when a page is due.
pub struct Pace {
    /// Time from one page to the next, in fractions of a tick; 0 for never.
    interval: u64,
    /// When the next page is due, in fractions of a tick.
    next: u64,
    ticks_per_second: u64,
    phases: bool,
}

impl Pace {
    /// `rate` pages a second, from tick 0 on.
    pub fn new(rate: u64, ticks_per_second: u64, pattern: Pattern) -> Self {
        let phases = pattern == Pattern::Phases;
        let rate = if phases { rate * 2 } else { rate };
        let interval = (ticks_per_second << FRACTION_BITS).checked_div(rate).map_or(0, |ticks| ticks.max(1));
        Self { interval, next: 0, ticks_per_second, phases }
    }

    /// Whether a page is due at `tick` (ticks since the start, ascending). If so it counts as done.
    pub fn due(&mut self, tick: u64) -> bool {
        if self.interval == 0 {
            return false;
        }
        let now = tick << FRACTION_BITS;
        if self.phases && (tick / self.ticks_per_second / PHASE_SECONDS) % 2 == 1 {
            self.next = now;
            return false;
        }
        let oldest = now.saturating_sub((self.ticks_per_second << FRACTION_BITS) / ARREARS);
        self.next = self.next.max(oldest);
        if self.next > now {
            return false;
        }
        self.next += self.interval;
        true
    }
}

/// Says which page of the working set is next.
pub struct Order {
    pattern: Pattern,
    pages: u64,
    next: u64,
    random: Random,
}

impl Order {
    /// An order over `pages` pages (at least 1).
    pub fn new(pattern: Pattern, pages: u64, seed: u64) -> Self {
        Self { pattern, pages, next: 0, random: Random::new(seed) }
    }

    /// The next page.
    pub fn next_page(&mut self) -> u64 {
        match self.pattern {
            Pattern::Sequential => {
                let page = self.next;
                self.next = if page + 1 < self.pages { page + 1 } else { 0 };
                page
            }
            Pattern::Uniform | Pattern::Phases => self.random.below(self.pages),
            Pattern::HotCold => {
                let hot = self.pages.div_ceil(10);
                if hot == self.pages || self.random.below(10) != 0 {
                    self.random.below(hot)
                } else {
                    hot + self.random.below(self.pages - hot)
                }
            }
        }
    }
}
