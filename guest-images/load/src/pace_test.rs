//! A rate is met to the page, over any time and however irregularly the guest runs; orders do what their names say.

use crate::pace::{Order, Pace};
use crate::parameters::Pattern;

const HERTZ: u64 = 2_100_000_000;

/// Pages done by `until`, if the guest looks every `every` ticks and then does all that is due.
fn run(pace: &mut Pace, from: u64, until: u64, every: u64) -> u64 {
    let mut pages = 0;
    let mut tick = from;
    while tick < until {
        while pace.due(tick) {
            pages += 1;
        }
        tick += every;
    }
    pages
}

#[test]
fn a_rate_is_met() {
    for rate in [1, 7, 20_000, 1_000_000] {
        let mut pace = Pace::new(rate, HERTZ, Pattern::Uniform);
        let pages = run(&mut pace, 0, 10 * HERTZ, HERTZ / 997);
        let most_late = 10 * rate / 9970 + 1;
        assert!((10 * rate - most_late..=10 * rate + 1).contains(&pages), "{rate}: {pages}");
    }
}

#[test]
fn no_rate_means_no_page() {
    assert_eq!(run(&mut Pace::new(0, HERTZ, Pattern::Uniform), 0, HERTZ, HERTZ / 100), 0);
}

#[test]
fn a_pause_is_made_up_for_by_a_fiftieth_of_a_second_at_most() {
    let mut pace = Pace::new(10_000, HERTZ, Pattern::Uniform);
    run(&mut pace, 0, HERTZ, HERTZ / 1000);
    let after_pause = 100 * HERTZ;
    let mut pages = 0;
    while pace.due(after_pause) {
        pages += 1;
    }
    assert!((200..=201).contains(&pages), "{pages}");
}

#[test]
fn phases_burst_and_rest() {
    let mut pace = Pace::new(1000, HERTZ, Pattern::Phases);
    let burst = run(&mut pace, 0, HERTZ, HERTZ / 1000);
    let rest = run(&mut pace, HERTZ, 2 * HERTZ, HERTZ / 1000);
    let next = run(&mut pace, 2 * HERTZ, 3 * HERTZ, HERTZ / 1000);
    assert!((1998..=2001).contains(&burst) && (1998..=2001).contains(&next), "{burst} {next}");
    assert_eq!(rest, 0);
}

#[test]
fn orders_stay_inside_and_reach_every_page() {
    for pattern in [Pattern::Sequential, Pattern::Uniform, Pattern::HotCold, Pattern::Phases] {
        for pages in [1, 2, 11, 64] {
            let mut order = Order::new(pattern, pages, 3);
            let mut count = vec![0u32; pages as usize];
            (0..100_000).for_each(|_| count[order.next_page() as usize] += 1);
            assert!(count.iter().all(|&writes| writes > 0), "{pattern:?} {count:?}");
        }
    }
}

#[test]
fn nine_of_ten_writes_go_to_a_tenth_of_the_pages() {
    let mut order = Order::new(Pattern::HotCold, 1000, 3);
    let hot = (0..100_000).filter(|_| order.next_page() < 100).count();
    assert!((89_000..91_000).contains(&hot), "{hot}");
}

#[test]
fn sequential_starts_over() {
    let mut order = Order::new(Pattern::Sequential, 3, 0);
    let pages: Vec<_> = (0..5).map(|_| order.next_page()).collect();
    assert_eq!(pages, [0, 1, 2, 0, 1]);
}
