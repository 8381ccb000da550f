//! Each rule fires where it should, and not a step before.

use std::time::Duration;

use super::*;

pub(super) const STANDING: Standing = Standing {
    rounds: 3,
    elapsed: Duration::from_secs(3),
    interval: Duration::from_secs(1),
    guest_pages: 10_000,
    sent_pages: 12_000,
    duplicate_pages: 2000,
    round_pages: 1000,
    dirty_pages: 1000,
    dirty_pages_before: 1000,
    owed_pages: 1000,
    bytes_per_s: 409_600_000.0,
    wire_ratio: 1.0,
    owed_ratio: 1.0,
    fixed_cost: Duration::from_millis(5),
    overlap: Duration::ZERO,
    exposed: Duration::ZERO,
    budget: Duration::from_millis(15),
    throttle: Throttle::None,
};

fn fires(name: &str, standing: Standing) -> bool {
    crate::part::Choice::one("stop", STOPS, name).unwrap().make().decide(&standing) != Verdict::Again
}

#[test]
fn the_budget_holds_pages_and_everything_else() {
    assert!(fires("downtime-budget", STANDING), "10 ms of pages and 5 ms of the rest");
    assert!(!fires("downtime-budget", Standing { owed_pages: 1001, ..STANDING }));
    assert!(!fires("downtime-budget", Standing { fixed_cost: Duration::from_micros(5001), ..STANDING }));
    assert!(!fires("downtime-budget", Standing { bytes_per_s: 0.0, ..STANDING }), "nothing measured yet");
    assert!(fires("downtime-budget", Standing { bytes_per_s: 0.0, owed_pages: 0, ..STANDING }));
    let far = Standing { fixed_cost: Duration::from_millis(84), ..STANDING };
    assert!(
        fires("downtime-budget", Standing { owed_pages: 0, ..far }),
        "no round trip gets shorter by waiting"
    );
    assert!(fires("downtime-budget", far), "what round trips cost is not the pages' fault");
    assert!(!fires("downtime-budget", Standing { owed_pages: 1501, ..far }), "but the pages must fit");
}

#[test]
fn xens_three_rules() {
    assert!(!fires("xen", Standing { dirty_pages: 50, ..STANDING }));
    assert!(fires("xen", Standing { dirty_pages: 49, ..STANDING }));
    assert!(!fires("xen", Standing { rounds: 28, ..STANDING }));
    assert!(fires("xen", Standing { rounds: 29, ..STANDING }));
    assert!(!fires("xen", Standing { sent_pages: 30_000, ..STANDING }));
    assert!(fires("xen", Standing { sent_pages: 30_001, ..STANDING }));
}

#[test]
fn xens_numbers_can_be_changed() {
    assert!(!fires("xen,few=0", Standing { dirty_pages: 0, ..STANDING }));
    assert!(fires("xen,few=1001", STANDING));
    assert!(fires("xen,rounds=3", STANDING) && !fires("xen,rounds=4", STANDING));
    assert!(
        fires("xen,copies=1.1", STANDING) && !fires("xen,copies=1.2", STANDING),
        "12,000 of 10,000 pages"
    );
}

/// The first round after which a rule fires, where round `k` found `rounds[k - 1].0` pages dirty and left
/// `rounds[k - 1].1` owed.
fn fires_after(name: &str, rounds: &[(u64, u64)]) -> Option<usize> {
    let mut rule = crate::part::Choice::one("stop", STOPS, name).unwrap().make();
    // Much was dirtied, and all owed, before the first round.
    let begin = Standing { rounds: 0, dirty_pages: 9000, owed_pages: 10_000, ..STANDING };
    let rest = (1..).zip(rounds).map(|(rounds, &(dirty_pages, owed_pages))| Standing {
        rounds,
        dirty_pages,
        owed_pages,
        ..STANDING
    });
    std::iter::once(begin).chain(rest).position(|standing| rule.decide(&standing) != Verdict::Again)
}

#[test]
fn growth_compares_a_round_with_the_one_before() {
    assert_eq!(
        fires_after("growth", &[(10, 0), (15, 0), (22, 0), (34, 0)]),
        Some(4),
        "34 of 22 is more than 1.5"
    );
    assert_eq!(fires_after("growth,factor=1", &[(10, 0), (10, 0), (11, 0)]), Some(3));
    assert_eq!(fires_after("growth", &[(0, 0), (1000, 0)]), None, "nothing to compare with");
    assert_eq!(
        fires_after("growth", &[(1000, 0), (10, 0), (20, 0)]),
        Some(3),
        "not with the most there ever was"
    );
}

#[test]
fn change_rate_fires_when_rounds_in_a_row_do_not_lower_what_is_owed() {
    let owed = |owed: &[u64]| owed.iter().map(|&owed| (100, owed)).collect::<Vec<_>>();
    assert_eq!(fires_after("change-rate", &owed(&[1000, 900, 860, 850])), Some(4), "4 % and 1 % less");
    assert_eq!(fires_after("change-rate", &owed(&[1000, 990, 900, 890, 800])), None, "never twice in a row");
    assert_eq!(fires_after("change-rate,in-a-row=1", &owed(&[1000, 990])), Some(2));
    assert_eq!(fires_after("change-rate,least=0", &owed(&[1000, 999, 998, 998, 998])), Some(5));
    assert_eq!(fires_after("growth", &owed(&[1000, 1000, 1000])), None, "which growth does not see");
}

#[test]
fn rules_that_count() {
    assert_eq!(fires_after("at-once", &[]), Some(0));
    assert_eq!(fires_after("rounds,most=2", &[(9, 9), (9, 9), (9, 9)]), Some(2));
    assert_eq!(fires_after("few-owed", &[(10, 50), (10, 49)]), Some(2), "not at 10 dirty and 50 owed");
    assert_eq!(fires_after("xen", &[(10, 50), (10, 49)]), Some(1), "where Xen looks at what was dirtied");
}

#[test]
fn a_stalled_link_is_a_long_downtime_and_no_panic() {
    let standing = Standing { bytes_per_s: 1e-300, owed_pages: u32::MAX.into(), ..STANDING };
    assert!(standing.predicted_downtime().unwrap() > Duration::from_secs(1 << 40));
}

#[test]
fn what_travels_small_and_what_is_written_meanwhile_are_in_the_forecast() {
    let forecast = |standing: Standing| standing.predicted_downtime().unwrap().as_secs_f64();
    assert!((forecast(STANDING) - 0.015).abs() < 1e-9);
    assert!((forecast(Standing { owed_ratio: 0.5, ..STANDING }) - 0.010).abs() < 1e-9);
    // 1,000 pages a second for 100 ms are a tenth more.
    let overlap = Duration::from_millis(2);
    assert!((forecast(Standing { overlap, ..STANDING }) - 0.013).abs() < 1e-9);
    assert!((forecast(Standing { overlap, owed_pages: 1, ..STANDING }) - 0.005).abs() < 1e-9);
    let exposed = Duration::from_millis(100);
    assert!((forecast(Standing { exposed, ..STANDING }) - 0.016).abs() < 1e-9);
}

#[test]
fn the_deadline_is_for_pre_copy_alone() {
    let at = |seconds| Standing { elapsed: Duration::from_secs(seconds), ..STANDING };
    assert!(!fires("deadline,after=5s", at(4)) && fires("deadline,after=5s", at(5)));
    assert!(!fires("deadline", at(59)) && fires("deadline", at(60)));
    assert!(!fires("deadline,after=5s", Standing { rounds: 0, ..at(9) }));
}

/// The round after which `rule` fires when so many pages are owed after one round of a second after the other.
fn stalls_after(rule: &str, owed: &[u64]) -> Option<u32> {
    let mut rule = crate::part::Choice::one("stop", STOPS, rule).unwrap().make();
    let mut fires = |rounds: u32, owed_pages| {
        let elapsed = Duration::from_secs(rounds.into());
        rule.decide(&Standing { rounds, elapsed, owed_pages, ..STANDING }) != Verdict::Again
    };
    (1..).zip(owed).find_map(|(round, &owed)| fires(round, owed).then_some(round))
}

#[test]
fn a_stall_is_a_minimum_that_stays_however_the_owed_pages_swing() {
    assert_eq!(stalls_after("stall", &[1000, 1000, 1000, 1000, 1000, 1000]), Some(5));
    assert_eq!(stalls_after("stall", &[1000, 949, 900, 850, 800, 750, 700]), None);
    assert_eq!(stalls_after("stall", &[1000, 4000, 990, 4000, 960]), Some(5), "within 5% of the minimum");
    assert_eq!(stalls_after("stall", &[1000, 4000, 990, 4000, 949, 4000]), None);
    assert_eq!(stalls_after("stall,rounds=2,time=5s", &[1000; 9]), Some(6), "two rounds, but not yet 5 s");
    assert_eq!(stalls_after("stall,percent=20,rounds=2", &[1000, 900, 810]), Some(3));
}
