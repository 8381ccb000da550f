//! Stop within the budget, but not before another round stops paying.
//!
//! `downtime-budget` stops at the first moment that the budget allows, and so uses all of it, also where one more round
//! of a few milliseconds would have left nearly nothing. This rule goes on within the budget as long as the next round
//! is expected to take a noticeable part off the downtime, and costs little beside what the migration took so far.
//! What the next round leaves is the dirty rate of the last interval times the time that the round will take.
//!
//! That expectation is of a guest that writes evenly. One that writes a few pages hot and others now and then leaves less
//! after short rounds than after long ones, and now less, now more. So a small part of the time so far goes into rounds that are
//! expected to bring nothing, until one has halved the downtime. And where rounds that are expected to pay bring nothing, time
//! after time, because the guest rests when they are looked forward to and writes when they go, that is not believed any longer.

use super::{Convergence, Standing, Verdict};
use crate::{
    limits::PAGE_BYTES,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "worthwhile",
    about: "within the budget, once another round is not worth its time",
    params: &[
        Param {
            name: "gain",
            about: "least part of the downtime that another round must take off",
            default: "0.2",
            kind: Kind::Real(0.0, 1.0),
        },
        Param {
            name: "cost",
            about: "most time that another round may take, as a part of the time so far",
            default: "0.1",
            kind: Kind::Real(0.0, 10.0),
        },
        Param {
            name: "seek",
            about: "time for rounds that may bring something, as a part of the time until the budget was met",
            default: "0.02",
            kind: Kind::Real(0.0, 10.0),
        },
    ],
    make: |values| {
        let [gain, cost, seek] = ["gain", "cost", "seek"].map(|name| values.real(name));
        Box::new(Worthwhile { gain, cost, seek, met: None, least_s: f64::INFINITY, in_vain: 0 })
    },
};

struct Worthwhile {
    gain: f64,
    cost: f64,
    seek: f64,
    /// When another round was first not expected to pay, and what downtime was predicted then, in s.
    met: Option<(f64, f64)>,
    /// The shortest downtime predicted within the budget, in s, and for how many rounds it has not become shorter.
    least_s: f64,
    in_vain: u32,
}

/// Rounds that may bring nothing, though they were expected to.
const PATIENCE: u32 = 8;

impl Convergence for Worthwhile {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        let Some(predicted) = standing.predicted_downtime() else { return Verdict::Again };
        let (predicted_s, budget_s) = (predicted.as_secs_f64(), standing.budget.as_secs_f64());
        let fixed_s = standing.fixed_cost.as_secs_f64();
        let pages_s = predicted_s - fixed_s;
        // Round trips and state alone may be over the budget; then the pages are what can be kept within it.
        if predicted_s > budget_s && !(fixed_s > budget_s && pages_s <= budget_s) {
            return Verdict::Again;
        }
        self.in_vain = if predicted_s < self.least_s { 0 } else { self.in_vain + 1 };
        self.least_s = self.least_s.min(predicted_s);
        let believed = self.in_vain < PATIENCE;
        if standing.rounds > 0
            && (believed && self.pays(standing, predicted_s, pages_s)
                || self.seeks(standing, predicted_s, pages_s))
        {
            return Verdict::Again;
        }
        Verdict::Final(format!(
            "the predicted downtime of {:.1} ms is within the budget of {:.1} ms, and another round would not pay",
            predicted_s * 1e3,
            budget_s * 1e3
        ))
    }
}

impl Worthwhile {
    /// Whether a round that takes `pages_s` would take enough off `predicted_s`.
    fn pays(&self, standing: &Standing, predicted_s: f64, pages_s: f64) -> bool {
        let interval_s = standing.interval.as_secs_f64();
        if interval_s == 0.0 || pages_s > self.cost * standing.elapsed.as_secs_f64() {
            return false;
        }
        let left = (standing.dirty_pages as f64 / interval_s * pages_s).min(standing.owed_pages as f64);
        let left_s = left * PAGE_BYTES as f64 / standing.page_bytes_per_s();
        pages_s - left_s >= self.gain * predicted_s
    }

    /// Whether there is time for a round of `pages_s` that may bring something, and it is wanted.
    fn seeks(&mut self, standing: &Standing, predicted_s: f64, pages_s: f64) -> bool {
        let elapsed_s = standing.elapsed.as_secs_f64();
        let (met_s, first_s) = *self.met.get_or_insert((elapsed_s, predicted_s));
        let matters = pages_s >= self.gain * predicted_s;
        matters && predicted_s > first_s / 2.0 && elapsed_s - met_s + pages_s <= self.seek * met_s
    }
}

#[cfg(test)]
mod worthwhile_test {
    use std::time::Duration;

    use super::*;
    use crate::{convergence::STOPS, part::Choice, slow::Throttle};

    /// 400 MiB/s; 4 ms of fixed cost; 3000 pages owed are 29.3 ms.
    fn standing(owed: u64, dirty: u64, elapsed_ms: u64) -> Standing {
        Standing {
            rounds: 1,
            elapsed: Duration::from_millis(elapsed_ms),
            interval: Duration::from_millis(1000),
            guest_pages: 262_144,
            sent_pages: 262_144,
            duplicate_pages: 0,
            round_pages: 262_144,
            dirty_pages: dirty,
            dirty_pages_before: 0,
            owed_pages: owed,
            bytes_per_s: 419_430_400.0,
            wire_ratio: 1.0,
            owed_ratio: 1.0,
            fixed_cost: Duration::from_millis(4),
            overlap: Duration::ZERO,
            exposed: Duration::ZERO,
            budget: Duration::from_millis(40),
            throttle: Throttle::None,
        }
    }

    fn stops(standing: &Standing) -> bool {
        let mut rule = Choice::one("stop", STOPS, "worthwhile").unwrap().make();
        rule.decide(standing) != Verdict::Again
    }

    #[test]
    fn a_short_round_that_leaves_little_is_taken() {
        assert!(!stops(&standing(3000, 3000, 1000)), "29 ms of 1 s leave 88 pages");
        assert!(stops(&standing(3000, 3000, 200)), "29 ms are dear beside 200 ms");
        assert!(stops(&standing(3000, 120_000, 1000)), "as much would be dirty again");
        assert!(stops(&standing(60, 60, 1000)), "what is left is not pages");
    }

    #[test]
    fn a_little_time_is_spent_on_rounds_that_may_bring_something() {
        let uneven = |owed, ms| standing(owed, 120_000, ms);
        let rule = || Choice::one("stop", STOPS, "worthwhile").unwrap().make();
        let goes_on = |rule: &mut Box<dyn Convergence>, standing| rule.decide(&standing) == Verdict::Again;
        let mut lucky = rule();
        assert!(goes_on(&mut lucky, uneven(3000, 10_000)), "29 ms of 10 s, though nothing is expected");
        assert!(goes_on(&mut lucky, uneven(2800, 10_030)), "27 ms are hardly better");
        assert!(!goes_on(&mut lucky, uneven(1200, 10_060)), "half of 33 ms is found");
        let mut unlucky = rule();
        assert!(goes_on(&mut unlucky, uneven(3000, 10_000)));
        assert!(goes_on(&mut unlucky, uneven(3000, 10_170)), "199 ms after the first");
        assert!(!goes_on(&mut unlucky, uneven(3000, 10_180)), "2% of the time are over");
    }

    #[test]
    fn what_is_promised_again_and_again_is_not_believed() {
        let mut rule = Choice::one("stop", STOPS, "worthwhile").unwrap().make();
        let rounds = (0..100).take_while(|_| rule.decide(&standing(3000, 3000, 1000)) == Verdict::Again);
        assert_eq!(rounds.count() as u32, PATIENCE);
        let mut kept = Choice::one("stop", STOPS, "worthwhile").unwrap().make();
        let rounds =
            (0..100).take_while(|n| kept.decide(&standing(3000 - 20 * n, 1000, 1000)) == Verdict::Again);
        assert_eq!(rounds.count(), 100, "each was a little better");
    }

    #[test]
    fn nothing_stops_beyond_the_budget() {
        assert!(!stops(&standing(4000, 400_000, 100)), "43 ms");
    }
}
