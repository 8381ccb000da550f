//! Both predictors on guests whose rounds can be worked out by hand.

use super::*;

const PAGES: u32 = 1024;

/// A link of 100 pages a second, no fixed cost, a budget of a tenth of a second: ten pages.
fn terms() -> Terms {
    Terms {
        pages: 1000,
        page_bytes: 4096.0,
        bytes_per_s: 409_600.0,
        fixed_cost: Duration::ZERO,
        setup: Duration::ZERO,
        budget: Duration::from_millis(100),
        most_rounds: 29,
        timeout: Duration::from_secs(1000),
    }
}

fn range(pages: std::ops::Range<u32>) -> PageSet {
    let mut set = PageSet::empty(PAGES);
    set.insert_range(pages);
    set
}

/// All predictors after these harvests, each of a second.
fn after(harvests: &[PageSet]) -> Vec<(&'static str, Forecast)> {
    let forecast = |row: &PredictorRow| {
        let mut predictor = (row.make)();
        harvests.iter().for_each(|dirty| predictor.observe(Duration::from_secs(1), dirty));
        (row.name, predictor.forecast(&terms()))
    };
    PREDICTORS.iter().map(forecast).collect()
}

#[test]
fn an_idle_guest_takes_one_copy() {
    for (name, forecast) in after(&[]).into_iter().chain(after(&[range(0..0)])) {
        assert!(forecast.converges && forecast.rounds == 2, "{name}: {forecast:?}");
        assert!((forecast.total_s - 10.0).abs() < 1e-9 && forecast.downtime_s == 0.0, "{name}: {forecast:?}");
        assert!((forecast.bytes - 4_096_000.0).abs() < 1.0, "{name}");
    }
}

#[test]
fn a_constant_rate_shrinks_geometrically_by_avg() {
    // Ten new pages a second: 1000 pages take 10 s, which dirty 100; those take 1 s, which dirty 10; these fit.
    let harvests: Vec<_> = (0..20).map(|n| range(n * 10..n * 10 + 10)).collect();
    let forecast = after(&harvests)[0].1;
    assert_eq!((forecast.rounds, forecast.converges), (3, true));
    assert!(
        (forecast.total_s - 11.1).abs() < 0.02 && (forecast.downtime_s - 0.1).abs() < 0.02,
        "{forecast:?}"
    );
}

#[test]
fn a_hot_set_is_counted_once_by_hist_and_again_and_again_by_avg() {
    // The same 50 pages every second.
    let harvests = vec![range(0..50); 10];
    let [(_, avg), (_, hist)] = after(&harvests)[..] else { panic!("two predictors") };
    // HIST: after 10 s of the first round 50 are dirty; they take 0.5 s, of which 25; 0.25 s, 12; 0.12 s, 6: fits.
    assert!(hist.converges && hist.bytes < 1.1 * 4_096_000.0, "{hist:?}");
    // AVG: 500 pages, then 250, 125, 62, 31, 15, 7.
    assert!(avg.converges && avg.bytes > 1.9 * 4_096_000.0, "{avg:?}");
}

#[test]
fn more_than_the_link_takes_does_not_converge() {
    // 200 distinct pages a second, 1000 in all: every round dirties as much as it sends.
    let harvests: Vec<_> = (0..5).map(|n| range(n * 200..n * 200 + 200)).collect();
    for (name, forecast) in after(&harvests) {
        assert!(!forecast.converges && forecast.rounds == 30, "{name}: {forecast:?}");
        assert!(forecast.downtime_s > 5.0, "{name}: {forecast:?}");
    }
}

#[test]
fn a_fixed_cost_over_the_budget_leaves_the_pages_to_be_judged() {
    let mut terms = terms();
    terms.fixed_cost = Duration::from_millis(500);
    let forecast = Avg::default().forecast(&terms);
    assert!(forecast.converges && (forecast.downtime_s - 0.5).abs() < 1e-9, "{forecast:?}");
}
