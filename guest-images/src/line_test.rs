//! Every line that the guest prints is understood, and nothing else is taken for one.

use std::time::Duration;

use crate::{Heartbeat, LoadLine};

const BEAT: &str = "load: beat=12 t=1.200s pages=60000 gap_us=85 checked=8192 bad=0 sweep=3\r\n";

#[test]
fn a_heartbeat_has_all_its_numbers() {
    let expected = Heartbeat {
        sequence: 12,
        time: Duration::from_millis(1200),
        pages: 60000,
        gap: Duration::from_micros(85),
        checked: 8192,
        bad: 0,
        sweeps: 3,
    };
    assert_eq!(Heartbeat::parse(BEAT), Some(expected));
    assert_eq!(LoadLine::parse(BEAT), Some(LoadLine::Heartbeat(expected)));
}

#[test]
fn no_cut_heartbeat_is_a_heartbeat() {
    for length in 0..BEAT.trim_end().len() {
        assert_eq!(Heartbeat::parse(&BEAT[..length]), None, "{:?}", &BEAT[..length]);
    }
}

#[test]
fn hostile_numbers_are_no_heartbeat() {
    for (from, to) in
        [("12", "99999999999999999999999"), ("1.200s", "18446744073709551615.999s"), ("85", "-1")]
    {
        assert_eq!(Heartbeat::parse(&BEAT.replacen(from, to, 1)), None, "{to}");
    }
}

#[test]
fn the_other_lines_are_told_apart() {
    let parse = |line| LoadLine::parse(line).unwrap();
    assert_eq!(parse("load: READY 4M text cpus=1\r\n"), LoadLine::Ready);
    assert_eq!(parse("load: input hello world"), LoadLine::Input("hello world".into()));
    assert_eq!(parse("load: DONE pages=7 bad=1"), LoadLine::Done { pages: 7, bad: 1 });
    assert_eq!(parse("load: BAD page=1 gpa=0x2"), LoadLine::Bad("BAD page=1 gpa=0x2".into()));
    assert_eq!(parse("load: FAULT vector=14"), LoadLine::Failed("FAULT vector=14".into()));
    assert_eq!(parse("load: filling 512M text"), LoadLine::Other("filling 512M text".into()));
    assert_eq!(LoadLine::parse("[    0.000000] Linux version"), None);
}
