//! The parts of an interval add up to it, are deterministic, and tell pages written often from those written once.

use std::time::Duration;

use godwit_migration::page::PageSet;

use super::{About, Tape, Trace, tape::SLOTS};

const PAGES: u32 = 4096;

/// Pages below 512 in every interval, and one of eight others in turn.
fn tape() -> Tape {
    let mut trace = Trace::new(About::default(), Duration::from_millis(10), PageSet::full(PAGES)).unwrap();
    for n in 0..200 {
        let mut dirty = PageSet::empty(PAGES);
        dirty.insert_range(0..512);
        (512..PAGES).filter(|page| page % 8 == n % 8).for_each(|page| dirty.insert(page));
        trace.push(&dirty);
    }
    Tape::new(trace)
}

fn part(tape: &Tape, interval: u64, from: u32, to: u32) -> PageSet {
    let span = &tape.interval(interval).unwrap().written;
    let (mut words, mut set) = (vec![], PageSet::empty(PAGES));
    tape.slots(span, interval, from, to, &mut words);
    set.union_words(span.first_page(), &words);
    set
}

#[test]
fn slots_add_up_to_their_interval() {
    let tape = tape();
    for interval in [0, 7, 199, 200] {
        let mut sum = PageSet::empty(PAGES);
        (0..SLOTS).for_each(|slot| sum.union(&part(&tape, interval, slot, slot + 1)));
        assert_eq!(sum, part(&tape, interval, 0, SLOTS));
        assert_eq!(sum, tape.trace().dirty((interval % 200) as usize));
        assert_eq!(part(&tape, interval, 3, 9), part(&tape, interval, 3, 9));
    }
}

#[test]
fn a_page_written_once_is_in_one_slot_and_one_written_always_in_all() {
    let tape = tape();
    let slots: Vec<_> = (0..SLOTS).map(|slot| part(&tape, 5, slot, slot + 1)).collect();
    for page in [0, 1, 511] {
        assert!(slots.iter().all(|slot| slot.contains(page)), "{page}");
    }
    let seldom = tape.trace().dirty(5).iter().filter(|page| *page >= 512).collect::<Vec<_>>();
    assert!(seldom.iter().all(|page| slots.iter().filter(|slot| slot.contains(*page)).count() == 1));
    // A quarter of the slots has about a quarter of these pages.
    let quarter = part(&tape, 5, 4, 8).iter().filter(|page| *page >= 512).count() as f64;
    assert!((0.15..0.35).contains(&(quarter / seldom.len() as f64)), "{quarter} of {}", seldom.len());
}

#[test]
fn zeros_are_the_share_that_the_trace_says() {
    let about =
        About { content: super::Content { zero_share: 0.25, ..Default::default() }, ..About::default() };
    let trace = Trace::new(about, Duration::from_millis(10), PageSet::full(PAGES)).unwrap();
    let share = f64::from(Tape::new(trace).zeros().count()) / f64::from(PAGES);
    assert!((0.22..0.28).contains(&share), "{share}");
}
