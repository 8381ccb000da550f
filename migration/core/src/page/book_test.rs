//! Counters and history follow the harvests; owed is what was dirtied and not sent since.

use proptest::prelude::*;

use super::{PageBook, PageSet};

fn set(pages: u32, members: &[u32]) -> PageSet {
    let mut set = PageSet::empty(pages);
    members.iter().for_each(|&p| set.insert(p));
    set
}

#[test]
fn history_shifts_newest_lowest_and_counters_count() {
    let mut book = PageBook::new(100);
    book.observe(&set(100, &[3, 99]));
    book.observe(&set(100, &[]));
    book.observe(&set(100, &[3]));
    assert_eq!((book.history()[3], book.dirtied()[3]), (0b101, 2));
    assert_eq!((book.history()[99], book.dirtied()[99]), (0b100, 1));
    assert_eq!((book.history()[50], book.dirtied()[50]), (0, 0));
}

#[test]
fn counters_saturate_and_history_keeps_eight() {
    let mut book = PageBook::new(1);
    for _ in 0..300 {
        book.observe(&PageSet::full(1));
    }
    assert_eq!((book.dirtied()[0], book.history()[0], book.harvests()), (255, 0xff, 300));
}

#[test]
fn the_last_harvest_is_owed_and_leaves_what_is_known_of_pages_alone() {
    let mut book = PageBook::new(100);
    book.observe(&set(100, &[3]));
    book.sent(&PageSet::full(100));
    book.observe_last(&set(100, &[3, 7]));
    assert_eq!(*book.owed(), set(100, &[3, 7]));
    assert_eq!((book.history()[3], book.dirtied()[3], book.dirtied()[7]), (0b1, 1, 0));
}

proptest! {
    #[test]
    fn owed_is_dirtied_or_never_sent(steps in proptest::collection::vec((proptest::collection::vec(0u32..70, 0..20), proptest::collection::vec(0u32..70, 0..20)), 0..10)) {
        let mut book = PageBook::new(70);
        let mut model = [true; 70];
        for (dirty, sent) in steps {
            book.observe(&set(70, &dirty));
            dirty.iter().for_each(|&p| model[p as usize] = true);
            book.sent(&set(70, &sent));
            sent.iter().for_each(|&p| model[p as usize] = false);
        }
        for (page, owed) in model.iter().enumerate() {
            prop_assert_eq!(book.owed().contains(page as u32), *owed);
        }
    }
}
