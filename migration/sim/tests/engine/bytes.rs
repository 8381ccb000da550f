//! The streams, spoilt: any truncation and any flipped bit ends as an error on both sides, with the guest where it was.

use godwit_lab::{
    Run,
    fault::{Fault, Stream},
};
use godwit_migration::{error::Class, preset::PRESETS, report::Outcome};
use proptest::prelude::*;

use crate::common::{KINDS, moved, stayed, tiny, unknown};

fn with(preset: &str, lanes: u8, fault: Fault) -> Run {
    let mut lab = tiny(preset, lanes);
    lab.faults = vec![fault];
    lab.run()
}

/// The guest runs at the source, and both sides say that it failed.
#[track_caller]
fn failed_on_both_sides(run: &Run, what: &str) {
    let class = stayed(run, what);
    assert!(matches!(class, Class::Protocol | Class::Peer | Class::Link), "{what}: {class:?}");
    assert!(matches!(run.target, Some(Err(_))), "{what}: {:?}", run.target);
}

/// Bytes that the lanes of an undisturbed migration send.
fn lane_bytes(preset: &str) -> u64 {
    let run = tiny(preset, 1).run();
    moved(&run, preset);
    run.lane_bytes
}

fn preset() -> impl Strategy<Value = &'static str> {
    (0..PRESETS.len()).prop_map(|at| PRESETS[at].name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_bit_of_a_lane_flipped(preset in preset(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let byte = at.index(lane_bytes(preset) as usize) as u64;
        let run = with(preset, 1, Fault::Flip { stream: Stream::Lane(0), byte, bit });
        failed_on_both_sides(&run, &format!("{preset}, byte {byte}, bit {bit}"));
    }

    #[test]
    fn a_lane_that_ends_early(preset in preset(), at in any::<prop::sample::Index>()) {
        let byte = at.index(lane_bytes(preset) as usize) as u64;
        let run = with(preset, 1, Fault::Truncate { stream: Stream::Lane(0), byte });
        failed_on_both_sides(&run, &format!("{preset}, byte {byte}"));
    }
}

#[test]
fn every_byte_of_the_headers_matters() {
    // The first frame's header, and the last frame of the migration: the end of the last round.
    for (preset, _) in KINDS {
        let end = lane_bytes(preset);
        for byte in (0..32).chain(end - 32..end) {
            let stream = Stream::Lane(0);
            let flip = Fault::Flip { stream, byte, bit: (byte % 8) as u8 };
            for fault in [flip, Fault::Truncate { stream, byte }] {
                let what = format!("{preset}, {fault:?}");
                failed_on_both_sides(&with(preset, 1, fault), &what);
            }
        }
    }
}

/// A control stream of these migrations is shorter.
const MOST_BYTES: u64 = 500;

/// Spoils the control stream byte by byte until the fault lies behind its end. The outcomes in order.
fn spoilt(fault: impl Fn(u64) -> Fault) -> Vec<Outcome> {
    let mut outcomes = vec![];
    for byte in 0..MOST_BYTES {
        let run = with("precopy", 2, fault(byte));
        let what = format!("byte {byte}");
        match run.report.outcome {
            Outcome::Completed => {
                moved(&run, &what);
                return outcomes;
            }
            Outcome::Unknown => unknown(&run, &what),
            Outcome::Failed => {
                stayed(&run, &what);
            }
            Outcome::Cancelled => panic!("{what}: nobody cancelled"),
        }
        outcomes.push(run.report.outcome);
    }
    panic!("more than {MOST_BYTES} bytes, or a migration that never completes: {outcomes:?}");
}

fn count(outcomes: &[Outcome], wanted: Outcome) -> usize {
    outcomes.iter().filter(|outcome| **outcome == wanted).count()
}

/// A message without a body that counts: header and the number of its kind.
const WORD: usize = 9;

#[test]
fn what_the_source_says_spoilt_at_every_byte() {
    for bit in [0, 7] {
        let flipped = spoilt(|byte| Fault::Flip { stream: Stream::ToTarget, byte, bit });
        let (before, go) = flipped.split_at(flipped.len() - WORD);
        assert_eq!(count(before, Outcome::Failed), before.len(), "before Go the guest stays: {before:?}");
        // A length that is too long makes the target wait for the rest of the message, for ever; any other flip in Go
        // is one that the target sees, and it gives the guest back.
        assert!(go[4..].iter().all(|outcome| *outcome == Outcome::Failed), "{go:?}");
    }
    let cut = spoilt(|byte| Fault::Truncate { stream: Stream::ToTarget, byte });
    assert_eq!(count(&cut, Outcome::Unknown), WORD, "only where Go itself is cut");
}

#[test]
fn what_the_target_says_spoilt_at_every_byte() {
    for bit in [0, 7] {
        let flipped = spoilt(|byte| Fault::Flip { stream: Stream::ToSource, byte, bit });
        let running = flipped.len() - count(&flipped, Outcome::Failed);
        assert_eq!(running, count(&flipped, Outcome::Unknown));
        assert!((WORD..WORD + 10).contains(&running), "only Running itself: {running}");
    }
    let cut = spoilt(|byte| Fault::Truncate { stream: Stream::ToSource, byte });
    assert!((WORD..WORD + 10).contains(&count(&cut, Outcome::Unknown)));
}
