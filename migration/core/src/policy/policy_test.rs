//! What every registered policy must do, on random histories.

use proptest::prelude::*;

use super::POLICIES;
use crate::page::{PageBook, PageSet};

proptest! {
    #[test]
    fn plans_are_owed_and_deterministic(harvests in proptest::collection::vec(proptest::collection::vec(0u32..600, 0..100), 1..12)) {
        for row in POLICIES {
            let (mut one, mut two) = ((row.make)(), (row.make)());
            let mut book = PageBook::new(600);
            for (round, dirty) in (1..).zip(&harvests) {
                let plan = one.plan(round, &book);
                prop_assert!(plan.pages.is_subset(book.owed()), "{}", row.name);
                prop_assert_eq!(&plan, &two.plan(round, &book), "{}", row.name);
                book.sent(&plan.pages);
                let mut set = PageSet::empty(600);
                dirty.iter().for_each(|&p| set.insert(p));
                book.observe(&set);
            }
        }
    }
}

#[test]
fn the_two_differ_in_what_they_do_with_a_page_written_again() {
    let book = PageBook::new(10);
    let skips: Vec<_> =
        POLICIES.iter().map(|row| (row.name, (row.make)().plan(1, &book).skip_redirtied)).collect();
    assert_eq!(skips, [("all", false), ("skip-redirtied", true)]);
}
