//! godwit's own: the guest is left alone until rounds no longer help, and is then slowed by what the next round needs.
//!
//! Rounds no longer help when what is owed has made no new minimum, by a tenth, for some rounds: swings do not reset
//! that. A share grown step by step takes more of the guest's work than one that is right at once, because every step
//! costs a whole round. So the share is computed: of what the guest would dirty while the owed pages travel, as much may
//! be left as the budget carries. Dirty rates of long intervals are too low, because a page counts once; where the next
//! round shows that, what is left to the guest is halved. The share never goes down again before the end, but for a guest that
//! has lost the most there is for a while and got nowhere: it is let go, since nothing is won by it.
//!
//! Where pages shrink on their way, deltas make later rounds shorter, and a guest that seemed to stall may still converge; pages that
//! travel as they are will not go any faster, so there one round without progress is enough.

use std::time::Duration;

use super::{Slow, Throttle};
use crate::{
    convergence::Standing,
    limits::PAGE_BYTES,
    part::{Kind, Param, Row},
};

/// Part of the budget that is aimed at.
const AIM: f64 = 0.7;
/// A minimum of what is owed counts from this part of the one before.
const PROGRESS: f64 = 0.9;
/// How long, and for how many rounds, the most is taken without progress.
const IN_VAIN: (Duration, u32) = (Duration::from_secs(10), 3);
/// Pages travel as they are from this part of their size on the wire.
const RAW: f64 = 0.9;
/// The most rounds without progress that raw pages are given.
const RAW_PATIENCE: u32 = 1;

pub(super) const ROW: Row<dyn Slow> = Row {
    name: "last-resort",
    about: "once rounds no longer help, take what the next round needs to fit the budget",
    params: &[
        Param {
            name: "patience",
            about: "rounds without progress before the guest is slowed",
            default: "2",
            kind: Kind::Whole(0, 100),
        },
        Param {
            name: "most",
            about: "percent of their time that the vCPUs lose at most",
            default: "99",
            kind: Kind::Whole(1, 99),
        },
    ],
    make: |values| {
        Box::new(LastResort {
            patience: values.whole("patience") as u32,
            most: values.whole("most") as f64 / 100.0,
            least_owed: u64::MAX,
            without: 0,
            taken: 0.0,
            most_since: None,
            given_up: false,
        })
    },
};

struct LastResort {
    patience: u32,
    most: f64,
    /// The fewest pages owed so far, and how many rounds ago that was.
    least_owed: u64,
    without: u32,
    taken: f64,
    /// Since when the most is taken without progress, and how many rounds there had been without any.
    most_since: Option<(Duration, u32)>,
    given_up: bool,
}

impl Slow for LastResort {
    fn decide(&mut self, standing: &Standing) -> Throttle {
        if standing.rounds == 0 || self.given_up {
            return Throttle::None;
        }
        if (standing.owed_pages as f64) < self.least_owed as f64 * PROGRESS {
            (self.least_owed, self.without) = (standing.owed_pages, 0);
        } else {
            self.without += 1;
        }
        let patience =
            if standing.wire_ratio < RAW { self.patience } else { self.patience.min(RAW_PATIENCE) };
        if self.taken > 0.0 {
            if self.without > 0 {
                self.taken = (1.0 - (1.0 - self.taken) / 2.0).min(self.most);
            }
        } else if self.without >= patience {
            self.taken = needed(standing).min(self.most);
            // From here on progress is what the slowed guest makes.
            self.least_owed = standing.owed_pages;
        }
        self.given_up = self.is_in_vain(standing.elapsed);
        if self.taken > 0.0 && !self.given_up { Throttle::Share(self.taken) } else { Throttle::None }
    }
}

impl LastResort {
    /// Whether the most has been taken for long enough, and got nowhere.
    fn is_in_vain(&mut self, now: Duration) -> bool {
        if self.taken < self.most || self.without == 0 {
            self.most_since = None;
            return false;
        }
        let (since, without) = *self.most_since.get_or_insert((now, self.without));
        now.saturating_sub(since) >= IN_VAIN.0 && self.without - without >= IN_VAIN.1
    }
}

/// The share to take so that what is dirtied while the owed pages travel fits the budget.
fn needed(standing: &Standing) -> f64 {
    let (carries, dirties) = (standing.page_bytes_per_s(), standing.dirty_bytes_per_s());
    let owed = (standing.owed_pages * PAGE_BYTES as u64) as f64;
    let room = standing.budget.saturating_sub(standing.fixed_cost).max(standing.budget / 4).as_secs_f64();
    if carries <= 0.0 || dirties <= 0.0 || owed <= 0.0 {
        return 0.0;
    }
    let round_s = owed / carries;
    (1.0 - AIM * room * carries / (dirties * round_s)).max(0.0)
}

#[cfg(test)]
mod last_resort_test {
    use std::time::Duration;

    use super::*;
    use crate::{
        part::Choice,
        slow::{SLOWS, slowed_at_once},
    };

    /// 400 MiB/s of pages at half their size, rounds of a second that each find as many pages dirty as are owed.
    fn standing(rounds: u32, owed: u64) -> Standing {
        Standing {
            rounds,
            elapsed: Duration::from_secs(u64::from(rounds)),
            interval: Duration::from_secs(1),
            guest_pages: 262_144,
            sent_pages: 262_144,
            duplicate_pages: 0,
            round_pages: owed,
            dirty_pages: owed,
            dirty_pages_before: owed,
            owed_pages: owed,
            bytes_per_s: 209_715_200.0,
            wire_ratio: 0.5,
            owed_ratio: 1.0,
            fixed_cost: Duration::from_millis(4),
            overlap: Duration::ZERO,
            exposed: Duration::ZERO,
            budget: Duration::from_millis(104),
            throttle: Throttle::None,
        }
    }

    #[test]
    fn progress_leaves_the_guest_alone_and_a_stall_takes_what_the_next_round_needs() {
        let mut slow = Choice::one("slow", SLOWS, "last-resort").unwrap().make();
        let rounds = [102_400, 80_000, 150_000, 79_000];
        let told: Vec<_> =
            (1..).zip(rounds).map(|(round, owed)| slow.decide(&standing(round, owed))).collect();
        assert_eq!(told[..3], [Throttle::None; 3], "a swing is not yet a stall");
        // 79,000 pages take 0.77 s and as many are dirtied a second: 60,949 in the round; 7,168 fit 70 ms.
        let Throttle::Share(share) = told[3] else { panic!("{told:?}") };
        assert!((share - (1.0 - 7168.0 / 60_949.0)).abs() < 0.001, "{share}");
        let Throttle::Share(more) = slow.decide(&standing(5, 79_000)) else { panic!("it was slowed") };
        assert!((1.0 - more - (1.0 - share) / 2.0).abs() < 1e-9, "what is left is halved");
        assert_eq!(
            slow.decide(&standing(6, 7000)),
            Throttle::Share(more),
            "and stays as it is while that helps"
        );
    }

    #[test]
    fn a_guest_that_is_slowed_in_vain_is_let_go() {
        let mut slow = Choice::one("slow", SLOWS, "last-resort").unwrap().make();
        let told: Vec<_> = (1..40).map(|round| slow.decide(&standing(round, 80_000))).collect();
        let most = told.iter().position(|&told| told == Throttle::Share(0.99)).unwrap();
        assert!(told[most..most + 10].iter().all(|&told| told == Throttle::Share(0.99)), "{told:?}");
        assert!(
            told[most + 10..].iter().all(|&told| told == Throttle::None),
            "10 rounds of a second: {told:?}"
        );
        let mut slow = Choice::one("slow", SLOWS, "last-resort,most=50,patience=0").unwrap().make();
        let long = |round| Standing { elapsed: Duration::from_secs(60) * round, ..standing(round, 80_000) };
        let told: Vec<_> = (1..7).map(|round| slow.decide(&long(round))).collect();
        let slowed = told.iter().filter(|&&told| told == Throttle::Share(0.5)).count();
        assert_eq!(slowed, 4, "a round may be long, three of them are given to it after the first: {told:?}");
        let mut slow = Choice::one("slow", SLOWS, "last-resort,most=50,patience=0").unwrap().make();
        slow.decide(&standing(1, 80_000));
        for round in 2..18 {
            let owed = (80_000.0 * 0.8_f64.powf(f64::from(round))) as u64;
            assert!(
                slow.decide(&standing(round, owed)) != Throttle::None,
                "round {round}: it gets somewhere"
            );
        }
    }

    #[test]
    fn pages_that_travel_as_they_are_are_given_one_round() {
        for (wire_ratio, slowed) in [(0.5, false), (1.0, true)] {
            let mut slow = Choice::one("slow", SLOWS, "last-resort").unwrap().make();
            let raw = |rounds, owed| Standing { wire_ratio, ..standing(rounds, owed) };
            assert_eq!(slow.decide(&raw(1, 80_000)), Throttle::None);
            assert_eq!(slow.decide(&raw(2, 79_000)) != Throttle::None, slowed, "{wire_ratio}");
        }
    }

    #[test]
    fn whoever_was_patient_before_has_it_slowed_at_once() {
        let mut slow = slowed_at_once("last-resort").unwrap();
        let first = slow.decide(&standing(3, 79_000));
        assert!(matches!(first, Throttle::Share(share) if share > 0.8), "{first:?}");
    }
}
