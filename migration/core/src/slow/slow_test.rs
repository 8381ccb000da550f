//! Hand-worked traces: what each part takes, round after round, and where it differs from its neighbours.

use std::time::Duration;

use super::*;
use crate::part::Choice;

/// A round of a second that sent 1,000 pages raw: the link carries 1,000 pages a second.
const STANDING: Standing = Standing {
    rounds: 1,
    elapsed: Duration::from_secs(1),
    interval: Duration::from_secs(1),
    guest_pages: 10_000,
    sent_pages: 1000,
    duplicate_pages: 0,
    round_pages: 1000,
    dirty_pages: 0,
    dirty_pages_before: 0,
    owed_pages: 1000,
    bytes_per_s: 4_096_000.0,
    wire_ratio: 1.0,
    owed_ratio: 1.0,
    fixed_cost: Duration::from_millis(5),
    overlap: Duration::ZERO,
    exposed: Duration::ZERO,
    budget: Duration::from_millis(30),
    throttle: Throttle::None,
};

/// What `part` does when the guest, unslowed, dirties `rates` pages a second in one round after the other, and slowed
/// by a share so much less.
fn taken(part: &str, rates: &[u64]) -> Vec<Throttle> {
    let mut slow = Choice::one("slow", SLOWS, part).unwrap().make();
    let mut throttle = Throttle::None;
    let rounds = (1..).zip(rates).map(|(rounds, &rate)| {
        let runs = if let Throttle::Share(share) = throttle { 1.0 - share } else { 1.0 };
        let dirty_pages = (rate as f64 * runs).round() as u64;
        throttle = slow.decide(&Standing { rounds, dirty_pages, throttle, ..STANDING });
        throttle
    });
    rounds.collect()
}

fn shares(part: &str, rates: &[u64]) -> Vec<f64> {
    let percent = |throttle: Throttle| match throttle {
        Throttle::None => 0.0,
        Throttle::Share(share) => (share * 1e4).round() / 100.0,
        Throttle::DirtyLimit(_) => panic!("{part} has no limit to give"),
    };
    taken(part, rates).into_iter().map(percent).collect()
}

#[test]
fn steps_takes_20_percent_after_two_bad_rounds_and_10_more_after_two_others() {
    // Half of 1,000 pages is the mark: 500 is not above it, 501 is. Slowed by 20%, 2,000 pages are still 1,600.
    assert_eq!(shares("steps", &[500, 501, 500, 501]), [0.0, 0.0, 0.0, 20.0], "a good round is no excuse");
    assert_eq!(shares("steps", &[2000; 6]), [0.0, 20.0, 20.0, 30.0, 30.0, 40.0]);
    assert_eq!(*shares("steps", &[1_000_000; 60]).last().unwrap(), 99.0);
    assert_eq!(shares("steps,after=1,initial=50,step=40,most=80", &[9000; 3]), [50.0, 80.0, 80.0]);
    assert_eq!(shares("steps", &[2000, 2000, 0, 0]), [0.0, 20.0, 20.0, 20.0], "nothing is given back");
}

#[test]
fn halving_halves_until_the_link_is_faster() {
    // 3,000, then 1,500, then 750 pages a second against 1,000.
    assert_eq!(shares("halving", &[3000; 4]), [50.0, 75.0, 75.0, 75.0]);
    assert_eq!(shares("halving", &[999; 2]), [0.0, 0.0]);
    assert_eq!(shares("halving,least=20", &[100_000; 4]), [50.0, 75.0, 80.0, 80.0]);
}

#[test]
fn share_gets_there_at_once_and_lets_go_of_a_guest_that_calms_down() {
    // 4,000 pages a second must become 500.
    assert_eq!(shares("share", &[4000; 3]), [87.5, 87.5, 87.5]);
    assert_eq!(shares("share,ratio=1", &[4000; 2]), [75.0, 75.0]);
    assert_eq!(shares("share", &[4000, 400, 400]), [87.5, 0.0, 0.0]);
    assert_eq!(shares("share,least=30", &[4000]), [70.0]);
}

#[test]
fn dirty_limit_allows_half_of_what_the_link_carries_and_shares_it_among_the_hot() {
    let limit = |throttle, dirty_pages| {
        let mut slow = Choice::one("slow", SLOWS, "dirty-limit").unwrap().make();
        slow.decide(&Standing { throttle, dirty_pages, ..STANDING })
    };
    assert_eq!(limit(Throttle::None, 500), Throttle::None);
    assert_eq!(limit(Throttle::None, 8000), Throttle::DirtyLimit(500.0), "as if one vCPU were hot");
    // Four were: together they still dirtied 2,000.
    assert_eq!(limit(Throttle::DirtyLimit(500.0), 2000), Throttle::DirtyLimit(125.0));
    assert_eq!(limit(Throttle::DirtyLimit(125.0), 500), Throttle::DirtyLimit(125.0));
    // Three of them rest: the fourth may have more, but no more than all.
    assert_eq!(limit(Throttle::DirtyLimit(125.0), 125), Throttle::DirtyLimit(250.0));
    assert_eq!(limit(Throttle::DirtyLimit(400.0), 0), Throttle::DirtyLimit(500.0));
    assert_eq!(
        limit(Throttle::DirtyLimit(110.0), 5000),
        Throttle::DirtyLimit(100.0),
        "never to a standstill"
    );
}

#[test]
fn what_travels_small_is_carried_faster() {
    let half = Standing { wire_ratio: 0.5, dirty_pages: 1500, ..STANDING };
    let decide =
        |part, standing: &Standing| Choice::one("slow", SLOWS, part).unwrap().make().decide(standing);
    assert_eq!(decide("halving", &half), Throttle::None);
    assert_eq!(decide("halving", &Standing { wire_ratio: 1.0, ..half }), Throttle::Share(0.5));
    assert_eq!(decide("dirty-limit", &half), Throttle::DirtyLimit(1000.0));
}

#[test]
fn nobody_is_slowed_before_anything_was_measured() {
    let unknown = Standing { rounds: 0, bytes_per_s: 0.0, round_pages: 0, dirty_pages: 9999, ..STANDING };
    for row in SLOWS {
        assert_eq!(Choice::new(row).make().decide(&unknown), Throttle::None, "{}", row.name);
    }
}

#[test]
fn a_tighter_throttle_is_told_from_one_that_wavers() {
    use Throttle::{DirtyLimit, None, Share};
    assert!(Share(0.2).is_tighter_than(None) && DirtyLimit(1e9).is_tighter_than(None));
    assert!(Share(0.31).is_tighter_than(Share(0.3)) && !Share(0.305).is_tighter_than(Share(0.3)));
    assert!(DirtyLimit(94.0).is_tighter_than(DirtyLimit(100.0)));
    assert!(!DirtyLimit(99.0).is_tighter_than(DirtyLimit(100.0)) && !None.is_tighter_than(Share(0.1)));
}
