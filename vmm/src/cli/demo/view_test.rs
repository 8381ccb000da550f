//! The guest's own word is read, and decides.

use super::view::{View, harm};

fn view(lines: &[&str]) -> View {
    let mut view = View::default();
    for line in lines {
        view.line(line);
    }
    view
}

const BEFORE: [&str; 4] = [
    "SeaBIOS says hello",
    "load: READY 4M text cpus=1",
    "load: beat=1 t=0.100s pages=100 gap_us=1185 checked=8192 bad=0 sweep=0",
    "load: beat=2 t=0.200s pages=250 gap_us=1010 checked=9000 bad=0 sweep=1",
];

#[test]
fn heartbeats_add_up() {
    let seen = view(&BEFORE);
    assert!(seen.ready);
    assert_eq!((seen.beats, seen.first_beat, seen.last_beat), (2, Some(1), Some(2)));
    assert_eq!((seen.pages_written, seen.bad), (250, 0));
    assert!((seen.longest_gap_s - 0.001_185).abs() < 1e-9);
    let after = view(&[
        "load: beat=3 t=0.300s pages=300 gap_us=5185 checked=9900 bad=0 sweep=1",
        "load: beat=4 t=0.400s pages=400 gap_us=9185 checked=9900 bad=0 sweep=1",
    ]);
    assert!((after.arrival_gap_s.unwrap() - 0.009_185).abs() < 1e-9, "the heartbeats that span the move");
}

#[test]
fn the_linux_guest_is_read_too() {
    let seen = view(&[
        "linux: READY cpus=2 memory=16777216 rate=1000",
        "linux: beat=3 t=3.000s uptime=5.48s date=1795260668.655 cpus=2 pages=1493 checked=1493 sums=12 bad=0 \
         gap_us=8025 rng_bytes=384",
    ]);
    assert_eq!((seen.ready, seen.last_beat, seen.pages_written), (true, Some(3), 1493));
    assert!((seen.longest_gap_s - 0.008_025).abs() < 1e-9);
    assert_eq!(view(&["linux: BAD page=3"]).complaints, ["BAD page=3"]);
}

#[test]
fn a_guest_that_goes_on_is_unharmed() {
    let after = view(&["load: beat=3 t=0.300s pages=300 gap_us=5185 checked=9900 bad=0 sweep=1"]);
    assert_eq!(harm(&view(&BEFORE), &after), None);
}

#[test]
fn silence_wrong_pages_complaints_and_a_step_back_are_harm() {
    let before = view(&BEFORE);
    let said = |lines: &[&str]| harm(&before, &view(lines)).unwrap();
    assert!(said(&[]).contains("not heard of"));
    assert!(said(&["load: beat=3 t=0.3s pages=3 gap_us=5 checked=9 bad=2 sweep=1"]).contains("not heard of"));
    let bad = "load: beat=3 t=0.300s pages=300 gap_us=5 checked=9 bad=2 sweep=1";
    assert!(said(&[bad]).contains("2 wrong pages"));
    assert!(said(&["load: BAD page=123 gpa=0x1 expected=0x2 found=0x3"]).contains("BAD page=123"));
    let again = "load: beat=2 t=0.200s pages=250 gap_us=1010 checked=9000 bad=0 sweep=1";
    assert!(said(&[again]).contains("back in time"));
}
