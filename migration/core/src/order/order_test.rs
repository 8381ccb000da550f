//! Which blocks come first, and where a round is cut.

use std::time::Duration;

use super::ORDERS;
use crate::{
    limits::{BLOCK_PAGES, PAGE_BYTES},
    page::{Order, PageBook, PageSet, Plan},
    part::Choice,
    policy::Scene,
};

const PAGES: u32 = 4 * BLOCK_PAGES;

/// The first `count` pages of each block.
fn in_blocks(counts: [u32; 4]) -> PageSet {
    let mut set = PageSet::empty(PAGES);
    for (block, count) in (0..).zip(counts) {
        set.insert_range(block * BLOCK_PAGES..block * BLOCK_PAGES + count);
    }
    set
}

/// A plan of all pages, as `order` has it after these harvests, one a second; the link carries `pages_per_s`.
fn arranged(order: &str, harvests: &[[u32; 4]], pages_per_s: f64) -> Plan {
    let mut book = PageBook::new(PAGES);
    let mut dirty = PageSet::empty(PAGES);
    for counts in harvests {
        dirty = in_blocks(*counts);
        book.observe(&dirty);
    }
    let scene = Scene {
        round: 2,
        book: &book,
        dirty: &dirty,
        interval: Duration::from_secs(1),
        sent_pages: 0,
        duplicate_pages: 0,
        page_bytes_per_s: pages_per_s * PAGE_BYTES as f64,
        budget: Duration::ZERO,
        time_left: Duration::MAX,
    };
    Choice::one("order", ORDERS, order).unwrap().make().arrange(Plan::all(book.owed().clone()), &scene)
}

fn blocks(plan: &Plan) -> Vec<u32> {
    plan.blocks(0, 1).filter(|&block| plan.pages.runs_in(Plan::block_range(block)).next().is_some()).collect()
}

#[test]
fn the_coldest_stripe_goes_first_and_the_sum_of_rates_ends_the_round() {
    let dirty = [[30, 10, 0, 20]];
    let sent = |order: &str, pages_per_s| blocks(&arranged(order, &dirty, pages_per_s));
    assert_eq!(sent("coldest-stripe-first", 60.0), [2, 1, 3, 0]);
    assert_eq!(sent("coldest-stripe-first", 59.0), [2, 1, 3], "0 + 10 + 20 + 30 is more than 59");
    assert_eq!(sent("coldest-stripe-first", 10.0), [2, 1]);
    assert_eq!(sent("coldest-stripe-first", 0.0), [2, 1, 3, 0], "nothing measured, nothing cut");
    assert_eq!(sent("coldest-stripe-first,blocks=2", 20.0), [2, 3], "20 in one stripe, 40 in the other");
    assert_eq!(sent("coldest-stripe-first,blocks=2", 1.0), [2, 3], "one stripe at the least");
    assert_eq!(sent("address", 1.0), [0, 1, 2, 3]);
    let cut = arranged("coldest-stripe-first", &dirty, 59.0);
    assert_eq!(cut.pages.count(), 3 * BLOCK_PAGES);
}

#[test]
fn the_least_dirtied_block_is_that_of_all_harvests() {
    let harvests = [[9, 0, 5, 9], [0, 8, 1, 0], [0, 0, 1, 1]];
    assert_eq!(blocks(&arranged("least-dirtied-block-first", &harvests, 1.0)), [2, 1, 0, 3], "7, 8, 9, 10");
    assert_eq!(
        blocks(&arranged("coldest-stripe-first", &harvests, 9.0)),
        [0, 1, 2, 3],
        "0, 0, 1, 1 in the last"
    );
    let plan = arranged("least-dirtied-block-first,blocks=2", &harvests, 1.0);
    assert_eq!(plan.order, Order::Blocks(vec![0, 1, 2, 3]), "17 and 17: by address");
    assert_eq!(plan.pages, PageSet::full(PAGES), "nothing is cut");
}
