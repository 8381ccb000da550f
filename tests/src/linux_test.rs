//! The verdict on a Linux guest finds every harm that it can tell of.

use std::time::{Duration, SystemTime};

use super::{
    linux::{Harm, all_at_work, impossible_flags, judge},
    stream::Line,
};

/// A line of the guest, printed `lag` seconds before it was heard.
fn line(sequence: u64, lag: f64, words: &str) -> Line {
    let heard = 1000.0 + sequence as f64;
    let text = format!(
        "linux: beat={sequence} t={sequence}.0s uptime={}.50s date={:.3} cpus=2 pages={sequence} checked={sequence} \
         sums={sequence} bad=0 gap_us=8025 rng_bytes={}",
        sequence + 2,
        heard - lag,
        sequence * 128
    );
    let text = words.split(' ').filter(|w| !w.is_empty()).fold(text, |text, word| {
        let name = word.split('=').next().unwrap();
        let kept = text.split(' ').map(|w| if w.split('=').next() == Some(name) { word } else { w });
        kept.collect::<Vec<_>>().join(" ")
    });
    Line { at: SystemTime::UNIX_EPOCH + Duration::from_secs_f64(heard), text }
}

#[test]
fn a_guest_that_went_on_is_well() {
    let lines = [line(1, 0.3, ""), line(2, 0.1, "cpus=0"), line(3, 0.4, ""), line(4, 0.1, "")];
    assert_eq!(judge(&lines, 2, 2).unwrap().beats.len(), 4);
}

#[test]
fn every_harm_is_found() {
    let cases = [
        ("bad=1", "1 things were wrong", false),
        ("cpus=1", "1 of 2 CPUs went on after the move", true),
        ("beat=5", "heartbeat 5 after heartbeat 2", false),
        ("uptime=1.00s", "clock went back", false),
        ("date=900.0", "clock went back", false),
        ("rng_bytes=256", "random bytes did not go on", true),
        ("sums=2", "sums did not go on", true),
        ("pages=2", "pages did not go on", true),
        ("checked=2", "checks did not go on", true),
        ("date=1002.2", "the wall clock is 0.100 s late before the move and 0.800 s after it", true),
    ];
    for (words, why, may_pass) in cases {
        let harm = judge(&[line(1, 0.1, ""), line(2, 0.1, ""), line(3, 0.1, words)], 2, 2).unwrap_err();
        assert!(harm.to_string().contains(why), "{words}: {harm}");
        assert_eq!(matches!(harm, Harm::NotYet(_)), may_pass, "{words}: {harm}");
    }
    let silent = judge(&[line(1, 0.1, ""), line(2, 0.1, "")], 2, 2).unwrap_err();
    assert!(silent.to_string().contains("2 heartbeats before the move and 0 after it"), "{silent}");
    let mut spoken = line(2, 0.1, "");
    spoken.text = "linux: BAD page=3".into();
    assert!(judge(&[line(1, 0.1, ""), spoken], 1, 2).unwrap_err().to_string().contains("BAD page=3"));
}

#[test]
fn a_cpu_is_at_work_once_it_was_seen() {
    assert!(all_at_work(&[line(1, 0.1, "cpus=1"), line(2, 0.1, ""), line(3, 0.1, "cpus=0")], 2));
    assert!(!all_at_work(&[line(1, 0.1, "cpus=1"), line(2, 0.1, "cpus=0")], 2));
}

#[test]
fn flags_that_no_cpu_has_are_told_from_those_of_a_broken_guest() {
    let oops =
        |flags: &str| format!("[ 44.6] RSP: 0018:ff52cb5800457a58 EFLAGS: {flags}\r\n[ 44.6] RAX: 0\r\n");
    assert_eq!(impossible_flags(&oops("81326202")), Some(0x8132_6202));
    assert_eq!(impossible_flags(&(oops("00010246") + &oops("00000293"))), None);
    assert_eq!(impossible_flags(&(oops("00010246") + &oops("80000202"))), Some(0x8000_0202));
    assert_eq!(impossible_flags("no oops at all, EFLAGS: "), None);
}
