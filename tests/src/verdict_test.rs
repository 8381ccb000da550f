//! The verdict finds every harm that a guest can tell of.

use super::verdict::Verdict;

fn beat(sequence: u64, seconds: f64, pages: u64, bad: u64) -> String {
    format!("load: beat={sequence} t={seconds:.3}s pages={pages} gap_us=1200 checked=5 bad={bad} sweep=0\r\n")
}

#[test]
fn a_line_that_begins_in_one_process_and_ends_in_the_next_is_whole() {
    let whole = beat(1, 0.1, 1, 0) + &beat(2, 0.2, 2, 0) + &beat(3, 0.3, 2, 0);
    let cut = whole.len() / 2;
    let joined = [&whole[..cut], &whole[cut..]].concat();
    let verdict = Verdict::of(&joined).unwrap();
    assert_eq!(verdict.last().sequence, 3);
    assert_eq!(verdict.longest_gap().as_micros(), 1200);
    let torn = [&whole[..cut], &whole[cut + 1..]].concat();
    assert!(Verdict::of(&torn).is_err(), "{torn}");
}

#[test]
fn every_harm_is_found() {
    let first = beat(1, 0.1, 5, 0);
    let cases = [
        (String::new(), "no heartbeat"),
        (beat(2, 0.2, 1, 0), "first heartbeat is missing"),
        (first.clone() + &beat(3, 0.2, 5, 0), "heartbeat 3 after heartbeat 1"),
        (first.clone() + &beat(1, 0.2, 5, 0), "heartbeat 1 after heartbeat 1"),
        (first.clone() + &beat(2, 0.1, 5, 0), "clock"),
        (first.clone() + &beat(2, 0.2, 4, 0), "counter"),
        (first.clone() + &beat(2, 0.2, 5, 1), "1 wrong pages"),
        (first.clone() + "load: BAD page=1 gpa=0x1000\r\n", "BAD page=1"),
        (first.clone() + "load: FAULT vector=14\r\n", "FAULT"),
    ];
    for (console, why) in cases {
        let harm = Verdict::of(&console).unwrap_err();
        assert!(harm.contains(why), "{harm}");
    }
    assert!(Verdict::of(&(first + &beat(2, 0.2, 5, 0))).is_ok());
}
