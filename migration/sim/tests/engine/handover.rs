//! The hand-over, whatever fails and whenever: never two running copies, and the guest is never lost from sight.
//!
//! The loss of the link and a cancellation are tried at *every* step of a migration, not at some.

use std::time::Duration;

use godwit_lab::{
    Run,
    fault::{Fault, Side, Stream, Task, When},
};
use godwit_migration::{error::Class, preset::PRESETS, report::Outcome};
use proptest::prelude::*;

use crate::common::{KINDS, kept, moved, ms, stayed, tiny, unknown};

/// Steps of the migration when nothing goes wrong, and the step in which the source gives the guest up.
fn steps(preset: &str, rounds: usize, lanes: u8) -> u64 {
    let run = tiny(preset, lanes).run();
    moved(&run, preset);
    assert!(run.report.rounds.len() >= rounds, "{preset}: {} rounds", run.report.rounds.len());
    run.steps
}

fn with(preset: &str, lanes: u8, fault: Fault) -> Run {
    let mut lab = tiny(preset, lanes);
    lab.faults = vec![fault];
    lab.run()
}

/// What a lost link may lead to, and nothing else may.
fn after_a_cut(run: &Run, what: &str) -> &'static str {
    match (run.report.outcome, run.target_runs) {
        (Outcome::Completed, _) => {
            moved(run, what);
            "moved"
        }
        (Outcome::Failed, _) => {
            stayed(run, what);
            "stayed"
        }
        (Outcome::Unknown, true) => {
            unknown(run, what);
            assert_eq!(run.differing, [] as [u32; 0], "{what}");
            "unknown, runs at the target"
        }
        (Outcome::Unknown, false) => {
            unknown(run, what);
            assert!(matches!(run.target, Some(Err(_))), "{what}: the target has thrown its copy away");
            "unknown, runs nowhere"
        }
        (Outcome::Cancelled, _) => panic!("{what}: nobody cancelled"),
    }
}

#[test]
fn the_link_lost_at_any_step() {
    let (soon, late) = (Duration::ZERO, Duration::from_secs(100));
    let mut seen = std::collections::BTreeSet::new();
    for &(preset, rounds) in KINDS {
        for lanes in [1, 2] {
            for step in 0..steps(preset, rounds, lanes) {
                for (source_notices, target_notices) in [(soon, soon), (soon, late), (late, soon)] {
                    for in_flight_arrives in [false, true] {
                        let when = When::Step(step);
                        let cut = Fault::Cut { when, in_flight_arrives, source_notices, target_notices };
                        let what = format!("{preset}, {lanes} lanes, {cut:?}");
                        seen.insert(after_a_cut(&with(preset, lanes, cut), &what));
                    }
                }
            }
        }
    }
    let all = ["moved", "stayed", "unknown, runs at the target", "unknown, runs nowhere"];
    assert!(seen.iter().eq(&all), "each of these must have come up: {seen:?}");
}

#[test]
fn a_cancellation_at_any_step_on_either_side() {
    for &(preset, rounds) in KINDS {
        for lanes in [1, 5] {
            for side in [Side::Source, Side::Target] {
                let mut stays = true;
                for step in 0..steps(preset, rounds, lanes) {
                    let what = format!("{preset}, {lanes} lanes, {side:?} at step {step}");
                    let run = with(preset, lanes, Fault::Cancel { when: When::Step(step), side });
                    if run.report.outcome == Outcome::Completed {
                        moved(&run, &what);
                        // A target cannot be cancelled before a source has come to it.
                        stays &= side == Side::Target && step < 2;
                    } else {
                        let class = stayed(&run, &what);
                        assert_eq!(
                            class,
                            if side == Side::Source { Class::Cancelled } else { Class::Peer },
                            "{what}"
                        );
                        assert!(stays, "{what}: once it is too late to cancel it stays too late");
                    }
                }
                assert!(!stays, "after Go it is too late");
            }
        }
    }
}

#[test]
fn a_host_that_fails_leaves_the_guest_at_the_source() {
    let tasks = [
        (Task::StartTracking, Class::Local, "StartTracking was to fail"),
        (Task::Harvest, Class::Local, "Harvest was to fail"),
        (Task::Pause, Class::Local, "Pause was to fail"),
        (Task::Save, Class::Local, "Save was to fail"),
        (Task::Build, Class::Peer, "Build was to fail"),
        (Task::Run, Class::Peer, "the target gave the guest back: Run was to fail"),
    ];
    for preset in PRESETS {
        for (task, class, words) in tasks {
            let run = with(preset.name, 2, Fault::Fail(task));
            assert_eq!(stayed(&run, words), class);
            assert!(run.report.error.unwrap().reason.contains(words));
            assert!(matches!(run.target, Some(Err(_))), "the target hears of it: {words}");
        }
    }
}

#[test]
fn a_guest_that_cannot_go_on_is_a_failure_that_says_both_reasons() {
    let mut lab = tiny("precopy", 1);
    lab.faults = vec![Fault::Fail(Task::Build), Fault::Fail(Task::Resume)];
    let run = lab.run();
    kept(&run, "resume fails");
    assert!(!run.source_runs && run.source_has_right && !run.target_runs);
    let error = run.report.error.unwrap().reason;
    assert!(error.contains("Build was to fail") && error.contains("Resume was to fail"), "{error}");
}

#[test]
fn a_refusal_names_every_reason_and_costs_nothing() {
    let reasons = vec!["too little memory".to_string(), "no avx2".to_string()];
    let run = with("precopy", 1, Fault::Refuse(reasons));
    assert_eq!(stayed(&run, "refused"), Class::Incompatible);
    assert_eq!(run.report.error.unwrap().reason, "the target refuses: too little memory; no avx2");
    assert_eq!((run.lane_bytes, run.report.rounds.len(), run.report.downtime_s.total), (0, 0, 0.0));
}

#[test]
fn a_guest_that_stayed_goes_on_as_if_nothing_had_been() {
    let failed = with("precopy", 1, Fault::Fail(Task::Build));
    stayed(&failed, "build fails");
    let down = failed.report.downtime_s.total;
    assert!(down > 0.0, "it had been paused");
    let ran = failed.guest_ran.as_secs_f64();
    let total = failed.report.total_s;
    assert!((ran + down - total).abs() < 1e-3, "ran {ran} s, down {down} s, of {total} s");
}

#[test]
fn the_same_lab_gives_the_same_run() {
    let runs = [(); 2].map(|()| tiny("clark2005", 2).run());
    assert_eq!(runs[0].timeline, runs[1].timeline);
    assert_eq!(runs[0].versions, runs[1].versions);
    assert!(runs[0].stood_still < Some(ms(50)));
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let when = || (0u64..70).prop_map(When::Step);
    let notices = || (0u64..20_000).prop_map(Duration::from_millis);
    let stream =
        || prop_oneof![Just(Stream::ToTarget), Just(Stream::ToSource), (0u8..2).prop_map(Stream::Lane)];
    let side = prop_oneof![Just(Side::Source), Just(Side::Target)];
    let task = prop_oneof![Just(Task::Harvest), Just(Task::Save), Just(Task::Build), Just(Task::Run)];
    prop_oneof![
        (when(), any::<bool>(), notices(), notices()).prop_map(
            |(when, in_flight_arrives, source_notices, target_notices)| Fault::Cut {
                when,
                in_flight_arrives,
                source_notices,
                target_notices
            }
        ),
        (when(), side).prop_map(|(when, side)| Fault::Cancel { when, side }),
        (stream(), 0u64..400, 0u8..8).prop_map(|(stream, byte, bit)| Fault::Flip { stream, byte, bit }),
        (stream(), 0u64..400).prop_map(|(stream, byte)| Fault::Truncate { stream, byte }),
        task.prop_map(Fault::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn faults_that_come_together(faults in proptest::collection::vec(any_fault(), 2..4), preset in 0..PRESETS.len()) {
        let mut lab = tiny(PRESETS[preset].name, 2);
        let what = format!("{faults:?}");
        lab.faults = faults;
        let run = lab.run();
        if run.report.outcome == Outcome::Cancelled {
            stayed(&run, &what);
        } else {
            after_a_cut(&run, &what);
        }
    }
}
