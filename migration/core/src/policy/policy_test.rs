//! What every registered policy must do, on random histories.

use proptest::prelude::*;

use std::time::Duration;

use super::{POLICIES, Policy, Scene};
use crate::{
    page::{PageBook, PageSet, Plan},
    part::Choice,
};

/// A guest under a policy: harvests in, plans out, the book kept as the engine keeps it.
pub(crate) struct Rounds {
    policy: Box<dyn Policy>,
    pub(crate) book: PageBook,
    dirty: PageSet,
    round: u32,
    sent: u64,
    ever: PageSet,
    pub(crate) time_left: Duration,
}

impl Rounds {
    /// A guest of `pages` pages, all owed, under the policy that `text` names with its parameters.
    pub(crate) fn new(text: &str, pages: u32) -> Self {
        let policy = Choice::one("select", POLICIES, text).unwrap().make();
        let empty = PageSet::empty(pages);
        Self {
            policy,
            book: PageBook::new(pages),
            dirty: empty.clone(),
            round: 0,
            sent: 0,
            ever: empty,
            time_left: Duration::MAX,
        }
    }

    fn scene(&self, round: u32) -> Scene<'_> {
        Scene {
            round,
            book: &self.book,
            dirty: &self.dirty,
            interval: Duration::from_secs(1),
            sent_pages: self.sent,
            duplicate_pages: self.sent - u64::from(self.ever.count()),
            page_bytes_per_s: if round > 1 { 125e6 } else { 0.0 },
            budget: Duration::from_millis(30),
            time_left: self.time_left,
        }
    }

    /// A harvest that found these pages.
    pub(crate) fn harvest(&mut self, dirty: &[u32]) {
        self.dirty = PageSet::empty(self.dirty.pages());
        dirty.iter().for_each(|&page| self.dirty.insert(page));
        self.book.observe(&self.dirty);
        let mut policy =
            std::mem::replace(&mut self.policy, Choice::one("select", POLICIES, "all").unwrap().make());
        policy.observe(&self.scene(self.round));
        self.policy = policy;
    }

    /// The next round: the whole plan.
    pub(crate) fn plan(&mut self) -> Plan {
        self.round += 1;
        let mut policy =
            std::mem::replace(&mut self.policy, Choice::one("select", POLICIES, "all").unwrap().make());
        let plan = policy.plan(&self.scene(self.round));
        self.policy = policy;
        assert!(plan.pages.is_subset(self.book.owed()), "a plan of pages that are not owed");
        self.book.sent(&plan.pages);
        self.sent += u64::from(plan.pages.count());
        self.ever.union(&plan.pages);
        plan
    }

    /// The next round: the pages that it sends.
    pub(crate) fn sends(&mut self) -> Vec<u32> {
        self.plan().pages.iter().collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn plans_are_owed_and_deterministic(harvests in proptest::collection::vec(proptest::collection::vec(0u32..600, 0..100), 1..12)) {
        for row in POLICIES {
            let (mut one, mut two) = (Rounds::new(row.name, 600), Rounds::new(row.name, 600));
            for dirty in &harvests {
                prop_assert_eq!(&one.plan(), &two.plan(), "{}", row.name);
                one.harvest(dirty);
                two.harvest(dirty);
            }
        }
    }
}

#[test]
fn the_two_differ_in_what_they_do_with_a_page_written_again() {
    let skips = |name: &str| Rounds::new(name, 10).plan().skip_redirtied;
    assert_eq!((skips("all"), skips("skip-redirtied")), (false, true));
    let mut all = Rounds::new("all", 3);
    assert_eq!(all.sends(), [0, 1, 2]);
    all.harvest(&[1]);
    assert_eq!(all.sends(), [1]);
}
