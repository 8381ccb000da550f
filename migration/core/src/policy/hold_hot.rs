//! Holds back the pages that would be written again before the next round ends, as many as the downtime can carry.
//!
//! A page that will be dirty again is sent for nothing; but every page held back goes in the stop-and-copy. So the
//! held set is bounded by what the budget can carry, and whatever does not fit is sent all the same: unlike schemes
//! that hold back by a threshold (`threshold+history`, `midrange`), this one cannot lengthen the downtime beyond it.
//!
//! Whether a page will be written again is judged from how often it was: as a Poisson process with the rate of its
//! counter, over the time that sending the owed pages will take. The counter cannot tell more than one write per
//! harvest, so a page dirty in both of the last two harvests counts as written once per interval at least.
//!
//! Where rounds make no progress, slowing the guest included, one goes whole: a page that is always written again before a
//! lane comes to it has never been sent, and its last copy can be a difference only to something that the target has. Where the
//! time given is over before such a round would be, it is not begun: the pages would all go once more in the forced copy. After
//! that there is a rest before each round: short rounds of what little is not written again would cost the guest a fault
//! for every page, over and over, and change nothing.
//!
//! A lane also leaves out what has been written since the harvest, as `skip-redirtied` does; on a fast link not in the first
//! round, see [`Arming`].

use super::{Policy, Scene};
use crate::{
    arming::Arming,
    limits::PAGE_BYTES,
    page::{PageSet, Plan},
    part::{Kind, Param, Row, Values},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "hold-hot",
    about: "owed pages, but for those likely to be written again, as far as the budget carries them",
    params: &[
        Param {
            name: "hold",
            about: "part of the downtime budget that pages held back may take",
            default: "0.6",
            kind: Kind::Real(0.0, 1.0),
        },
        Param {
            name: "likely",
            about: "probability of another write in the next round from which a page is held back",
            default: "0.5",
            kind: Kind::Real(0.01, 1.0),
        },
        Param {
            name: "arming",
            about: "tracking of a page begins as it is first sent, where the link is fast, or of all at once",
            default: "as-sent",
            kind: Kind::Word(&["as-sent", "at-once"]),
        },
    ],
    make: |values| Box::new(HoldHot::new(values)),
};

struct HoldHot {
    hold: f64,
    likely: f64,
    arming: Arming,
    /// Time that the book's harvests cover, in seconds.
    watched_s: f64,
    /// The fewest pages owed so far, and how many rounds ago that was.
    least_owed: u32,
    without: u32,
    /// Whether the guest was only looked at the last time.
    rested: bool,
}

/// How the next round goes.
enum Pace {
    Usual,
    Whole,
    Rest,
}

/// The fewest pages owed are fewer by this part, or it was no progress.
const PROGRESS: f64 = 0.9;
/// Rounds without progress before one goes whole: whatever slows the guest has had its time.
const PATIENCE: u32 = 6;

impl HoldHot {
    fn new(values: &Values) -> Self {
        let arming = if values.word("arming") == "at-once" { Arming::AtOnce } else { Arming::AsSent };
        Self {
            hold: values.real("hold"),
            likely: values.real("likely"),
            arming,
            watched_s: 0.0,
            least_owed: u32::MAX,
            without: 0,
            rested: false,
        }
    }

    /// What to do with so many pages owed, by whether rounds make progress and all of them could be sent in time.
    fn pace(&mut self, owed: u32, in_time: bool) -> Pace {
        if f64::from(owed) <= f64::from(self.least_owed) * PROGRESS {
            (self.least_owed, self.without) = (owed, 0);
        } else {
            self.without = self.without.saturating_add(1);
        }
        self.rested = self.without > PATIENCE && !self.rested;
        match self.without {
            PATIENCE if in_time => Pace::Whole,
            _ if self.rested => Pace::Rest,
            _ => Pace::Usual,
        }
    }

    /// The pages to hold back: the likeliest of `hot` to be written, as many as fit.
    fn held(&self, scene: &Scene, round_s: f64) -> PageSet {
        let room =
            (scene.budget.as_secs_f64() * self.hold * scene.page_bytes_per_s / PAGE_BYTES as f64) as usize;
        // How many writes seen make another one likely: -ln(1 - likely) events in a round of this length.
        let needed = -(1.0 - self.likely).ln() * self.watched_s / round_s;
        let steady = scene.interval.as_secs_f64() <= round_s / self.likely;
        let is_hot =
            |dirtied: u8, history: u8| f64::from(dirtied) >= needed || (steady && history & 0b11 == 0b11);
        // Counters are bytes: a histogram finds from which counter on the hot pages fit.
        let book = scene.book;
        let mut by_counter = [0_usize; 256];
        let hot = |page: u32| {
            let (dirtied, history) = (book.dirtied()[page as usize], book.history()[page as usize]);
            is_hot(dirtied, history).then_some(dirtied)
        };
        book.owed().iter().filter_map(hot).for_each(|dirtied| by_counter[usize::from(dirtied)] += 1);
        let mut held = PageSet::empty(book.owed().pages());
        let (mut fits, mut least) = (room, 256);
        while least > 0 && by_counter[least - 1] <= fits {
            fits -= by_counter[least - 1];
            least -= 1;
        }
        for page in book.owed().iter() {
            match hot(page) {
                Some(dirtied) if usize::from(dirtied) >= least => held.insert(page),
                // Of those that are as hot as the last that fit, some do.
                Some(dirtied) if usize::from(dirtied) + 1 == least && fits > 0 => {
                    fits -= 1;
                    held.insert(page);
                }
                _ => {}
            }
        }
        held
    }
}

impl Policy for HoldHot {
    fn observe(&mut self, scene: &Scene) {
        self.watched_s += scene.interval.as_secs_f64();
    }

    fn plan(&mut self, scene: &Scene) -> Plan {
        let mut plan = Plan::all(scene.book.owed().clone());
        let round_s = f64::from(plan.pages.count()) * PAGE_BYTES as f64 / scene.page_bytes_per_s;
        match self.pace(plan.pages.count(), round_s <= scene.time_left.as_secs_f64()) {
            Pace::Whole => return plan,
            Pace::Rest => return Plan::all(PageSet::empty(plan.pages.pages())),
            Pace::Usual => plan.skip_redirtied = true,
        }
        if scene.page_bytes_per_s > 0.0 && self.watched_s > 0.0 && round_s > 0.0 {
            plan.pages.subtract(&self.held(scene, round_s));
        }
        plan
    }

    /// A rest is one look; where all that is owed is held back, it is time to stop.
    fn patience(&self) -> u32 {
        self.rested.into()
    }

    fn arming(&self) -> Arming {
        self.arming
    }
}

#[cfg(test)]
mod hold_hot_test {
    use std::time::Duration;

    use super::PATIENCE;
    use crate::policy::policy_test::Rounds;

    /// The harness has intervals of 1 s, 125 MB/s and a budget of 30 ms: room for 915 pages in the whole budget.
    #[test]
    fn what_is_written_in_every_round_waits_for_the_end() {
        let mut rounds = Rounds::new("hold-hot", 40_000);
        assert_eq!(rounds.plan().pages.count(), 40_000, "nothing is known in the first round");
        rounds.harvest(&[1, 2, 30_000]);
        assert_eq!(rounds.sends(), [1, 2, 30_000], "one write in a second, and the round takes no time");
        let busy: Vec<u32> = (0..32_000).collect();
        for _ in 0..3 {
            rounds.harvest(&busy);
            rounds.sends();
        }
        rounds.harvest(&busy);
        let sent = rounds.sends();
        assert_eq!(sent.len(), 32_000 - 549, "0.6 of the budget carries 549 pages, and no more are held");
        assert!(!sent.contains(&1) && !sent.contains(&30_000), "the hottest are those written most often");
    }

    #[test]
    fn what_is_always_written_again_goes_once_all_the_same() {
        let mut rounds = Rounds::new("hold-hot", 40_000);
        assert!(rounds.plan().skip_redirtied);
        let busy: Vec<u32> = (0..100).collect();
        let (mut whole, mut rests) = (vec![], vec![]);
        for round in 2..20 {
            rounds.harvest(&busy);
            let plan = rounds.plan();
            match (plan.skip_redirtied, plan.pages.count()) {
                (false, 0) => rests.push(round),
                (false, 100) => whole.push(round),
                _ => assert!(plan.skip_redirtied, "{plan:?}"),
            }
        }
        assert_eq!(whole, [2 + PATIENCE], "100 is progress after 40,000, and then there is none");
        assert_eq!(rests, [9, 11, 13, 15, 17, 19], "every other time");
    }

    #[test]
    fn nothing_goes_whole_that_would_not_be_there_in_time() {
        let busy: Vec<u32> = (0..40_000).collect();
        let wholes = |time_left| {
            let mut rounds = Rounds::new("hold-hot", 40_000);
            rounds.time_left = time_left;
            let plans = (0..20).map(|_| {
                let plan = rounds.plan();
                rounds.harvest(&busy);
                plan
            });
            plans.filter(|plan| !plan.skip_redirtied && !plan.pages.is_empty()).count()
        };
        assert_eq!(wholes(Duration::from_millis(1320)), 1, "40,000 pages at 125 MB/s take 1.31 s");
        assert_eq!(wholes(Duration::from_millis(1300)), 0);
    }

    #[test]
    fn without_room_nothing_is_held() {
        let mut rounds = Rounds::new("hold-hot,hold=0", 64);
        rounds.plan();
        for _ in 0..3 {
            rounds.harvest(&[5]);
            assert_eq!(rounds.sends(), [5]);
        }
    }
}
