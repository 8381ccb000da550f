//! Each rule fires where it should, and not a step before.

use std::time::Duration;

use super::*;

const STANDING: Standing = Standing {
    rounds: 3,
    guest_pages: 10_000,
    sent_pages: 12_000,
    dirty_pages: 1000,
    owed_pages: 1000,
    bytes_per_s: 409_600_000.0,
    fixed_cost: Duration::from_millis(5),
    budget: Duration::from_millis(15),
};

fn fires(name: &str, standing: Standing) -> bool {
    let row = STOPS.iter().find(|row| row.name == name).unwrap();
    (row.make)().decide(&standing) != Verdict::Again
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
fn a_stalled_link_is_a_long_downtime_and_no_panic() {
    let standing = Standing { bytes_per_s: 1e-300, owed_pages: u32::MAX.into(), ..STANDING };
    assert!(standing.predicted_downtime().unwrap() > Duration::from_secs(1 << 40));
}
