//! What goes wrong, in every phase: what the target is told, where the guest is afterwards, what the report says.

use super::*;
use crate::{cancellation::Cancellation, error::ProtocolError, host::HostError, limits::MAX_ROUNDS};

const NOTHING: [&str; 0] = [];

#[test]
fn a_failure_before_go_is_undone_and_told_to_a_target_that_may_hear_it() {
    type Failure = (fn() -> Event, Class, Option<&'static str>);
    let failures: [Failure; 5] = [
        (|| Event::Cancel(Cancellation::Request), Class::Cancelled, Some("say Abort: cancelled on request")),
        (|| Event::HostFailed(HostError("no memory".into())), Class::Local, Some("say Abort: no memory")),
        (
            || Event::ProtocolBroken(ProtocolError::new("nonsense")),
            Class::Protocol,
            Some("say Abort: the peer broke the protocol: nonsense"),
        ),
        (|| Event::LinkLost("gone".into()), Class::Link, Some("say Abort: gone")),
        (|| said(TargetMessage::Abort("full".into())), Class::Peer, None),
    ];
    for (event, class, told) in failures {
        for (phase, mut script) in everywhere(&config()) {
            let expected: Vec<_> = told.into_iter().chain(["undo"]).collect();
            assert_eq!(script.at(40, event()), expected, "{class:?} in {phase}");
            assert_eq!(script.deadline(), None, "nothing is awaited");
            assert_eq!(script.at(41, Event::LinkLost("closed".into())), NOTHING, "one failure is enough");
            let report = script.undone(42);
            assert_eq!((report.outcome, class_of(&report)), (outcome_of(class), class), "{phase}");
            assert_eq!(script.at(43, Event::Cancel(Cancellation::Request)), NOTHING, "nothing after the end");
        }
    }
}

#[test]
fn the_report_of_a_failure_says_how_long_the_guest_stood_still() {
    let mut script = Script::new(config()).set_up().paused().last_round();
    script.at(30, Event::Cancel(Cancellation::Request));
    let report = script.undone(35);
    assert!((report.downtime_s.total - 0.012).abs() < 1e-12, "from 23 to 35 ms: {:?}", report.downtime_s);
    assert_eq!(report.error.as_ref().unwrap().to_string(), "cancelled on request (in phase final, round 2)");

    let mut script = Script::new(config()).set_up();
    script.at(30, Event::Cancel(Cancellation::Request));
    assert_eq!(script.undone(35).downtime_s.total, 0.0, "it never did");
}

#[test]
fn what_could_not_be_undone_is_said_too() {
    let mut script = Script::new(config()).set_up();
    script.at(30, Event::LinkLost("gone".into()));
    let failed = Event::Undone(Err(HostError("the log is stuck".into())));
    assert_eq!(script.at(31, failed), ["finish: Failed"]);
    assert_eq!(script.report.unwrap().error.unwrap().reason, "gone; and then: the log is stuck");
}

#[test]
fn a_refusal_ends_it_with_every_reason_cleaned_and_bounded() {
    for phase in ["hello", "prepare"] {
        let (_, mut script) = everywhere(&config()).into_iter().find(|(name, _)| *name == phase).unwrap();
        let mut reasons = vec!["too little\x1b[2J memory".to_string()];
        reasons.resize(1000, "x".repeat(5000));
        script.at(6, said(TargetMessage::Refused(reasons)));
        let report = script.undone(7);
        assert_eq!(class_of(&report), Class::Incompatible);
        let reason = report.error.unwrap().reason;
        assert!(reason.starts_with("the target refuses: too little [2J memory; xxx"), "{phase}");
        assert!(reason.len() < 300_000, "{} bytes", reason.len());
    }
}

#[test]
fn a_version_that_was_not_offered_is_an_error() {
    let mut script = Script::new(config());
    let reply = HelloReply { version: PROTOCOL.1 + 1, capabilities: 0, software: "x".into() };
    script.at(1, said(TargetMessage::Hello(reply)));
    let report = script.undone(2);
    assert_eq!(class_of(&report), Class::Protocol);
    assert!(report.error.unwrap().reason.contains("which was not offered"));
}

#[test]
fn a_target_that_counts_otherwise_is_an_error_whoever_is_first() {
    let mut late = Script::new(config()).set_up();
    late.at(20, sent(3));
    late.at(21, round_done(1, 2));
    let mut early = Script::new(config()).set_up();
    early.at(20, round_done(1, 2));
    early.at(21, sent(3));
    for mut script in [late, early] {
        let report = script.undone(22);
        assert_eq!(class_of(&report), Class::Protocol);
        assert_eq!(report.error.unwrap().reason, "3 pages were sent in the round, the target counts 2");
    }
}

#[test]
fn answers_that_are_not_due_are_errors() {
    let answers: [fn() -> TargetMessage; 6] = [
        || TargetMessage::Prepared,
        || TargetMessage::LanesOpen,
        || TargetMessage::RoundDone { round: 1, pages: 3 },
        || TargetMessage::RoundDone { round: 2, pages: 3 },
        || TargetMessage::Ready,
        || TargetMessage::Running { cpu_us: 0 },
    ];
    let due = [
        ("prepare", "Prepared"),
        ("joining", "LanesOpen"),
        ("sending", "RoundDone 1"),
        ("draining", "RoundDone 1"),
        ("final", "Ready"),
    ];
    for answer in answers {
        for (phase, mut script) in everywhere(&config()) {
            let name = match answer() {
                TargetMessage::RoundDone { round, .. } => format!("RoundDone {round}"),
                other => other.name().into(),
            };
            let actions = script.at(30, said(answer()));
            let expected = due.contains(&(phase, name.as_str()));
            assert_eq!(
                !actions.iter().any(|action| action == "undo"),
                expected,
                "{name} in {phase}: {actions:?}"
            );
            if !expected {
                assert_eq!(class_of(&script.undone(31)), Class::Protocol, "{name} in {phase}");
            }
        }
    }
}

#[test]
fn ready_is_not_believed_before_the_state_has_been_sent() {
    let mut script = Script::new(config()).set_up().paused();
    script.at(25, Event::Paused);
    script.at(26, Event::Harvested(set(&[])));
    script.at(27, said(TargetMessage::Ready));
    assert_eq!(class_of(&script.undone(28)), Class::Protocol);
}

#[test]
fn ready_twice_is_an_error() {
    let mut script = Script::new(config()).set_up().paused().last_round();
    assert_eq!(script.at(28, said(TargetMessage::Ready)), NOTHING);
    script.at(29, said(TargetMessage::Ready));
    assert_eq!(class_of(&script.undone(30)), Class::Protocol);
}

#[test]
fn a_target_that_owes_an_answer_has_so_long() {
    let seconds = Duration::from_secs;
    let ms = Duration::from_millis;
    let owed = [
        ("hello", Some(seconds(10))),
        ("prepare", Some(ms(1) + seconds(10))),
        ("lanes", None),
        ("joining", Some(ms(6) + seconds(10))),
        ("tracking", None),
        ("sending", None),
        ("draining", Some(ms(20) + seconds(60))),
        ("harvesting", None),
        ("pausing", None),
        ("final harvest", None),
        ("final", None),
    ];
    for ((phase, mut script), (name, deadline)) in everywhere(&config()).into_iter().zip(owed) {
        assert_eq!((phase, script.deadline()), (name, deadline));
        let Some(deadline) = deadline else {
            assert_eq!(script.at(1_000_000, Event::Tick), NOTHING, "{phase}: nobody is late");
            continue;
        };
        script.source.handle(deadline - Duration::from_nanos(1), Event::Tick);
        assert_eq!(script.actions(), NOTHING, "{phase}: not yet");
        script.source.handle(deadline, Event::Tick);
        let actions = script.actions();
        assert!(actions[0].starts_with("say Abort: ") && actions[1..] == ["undo"], "{phase}: {actions:?}");
        assert_eq!(class_of(&script.undone(100_000)), Class::Link);
    }
    let mut script = Script::new(config()).set_up().paused().last_round();
    script.at(28, sent(3));
    assert_eq!(script.deadline(), Some(ms(28) + seconds(70)), "to drain, and to build");
    let actions = script.at(70_028, Event::Tick);
    assert!(actions[0].starts_with("say Abort: ") && actions[1..] == ["undo"], "{actions:?}");
}

#[test]
fn the_users_time_out_ends_pre_copy_and_lets_a_stop_and_copy_go_on() {
    let config = SourceConfig { timeout: Some(Duration::from_secs(1)), ..config() };
    for (phase, mut script) in everywhere(&config) {
        let begun = ["pausing", "final harvest", "final"].contains(&phase);
        assert_eq!(script.deadline() == Some(Duration::from_secs(1)), !begun, "{phase}");
        let expected: &[&str] = if begun {
            &[]
        } else {
            &["say Abort: the migration did not get there in the 1.0 s it was given", "undo"]
        };
        assert_eq!(script.at(1000, Event::Tick), expected, "{phase}");
        if !begun {
            assert_eq!(class_of(&script.undone(1001)), Class::Timeout, "{phase}");
        }
    }
}

#[test]
fn a_forced_copy_comes_after_the_round_that_the_time_out_fell_in() {
    let config = SourceConfig {
        timeout: Some(Duration::from_secs(1)),
        on_timeout: OnTimeout::Force,
        downtime: Duration::ZERO,
        ..config()
    };
    let mut script = Script::new(config).set_up();
    assert_eq!(script.deadline(), None);
    assert_eq!(script.at(1000, Event::Tick), NOTHING);
    script.at(1001, sent(3));
    script.at(1002, round_done(1, 3));
    assert_eq!(script.at(1003, Event::Harvested(set(&[0, 1, 2]))), ["pause"]);
}

#[test]
fn after_go_it_is_too_late_to_cancel() {
    let mut script = Script::new(config()).set_up().paused().last_round();
    assert!(script.source.can_cancel());
    script = script.handed_over();
    assert!(!script.source.can_cancel());
    assert_eq!(script.at(31, Event::Cancel(Cancellation::Request)), NOTHING);
    assert_eq!(script.at(31, Event::HostFailed(HostError("whatever".into()))), NOTHING);
    assert_eq!(script.at(32, Event::Tick), NOTHING);
    assert_eq!(script.at(33, said(TargetMessage::Running { cpu_us: 0 })), ["finish: Completed"]);
}

#[test]
fn a_target_that_gives_the_guest_back_is_believed() {
    let mut script = Script::new(config()).set_up().paused().last_round().handed_over();
    let actions = script.at(31, said(TargetMessage::Abort("no CPU".into())));
    assert_eq!(actions, ["take back", "undo"], "the right to run first");
    let report = script.undone(32);
    assert_eq!((report.outcome, class_of(&report)), (Outcome::Failed, Class::Peer));
    assert_eq!(report.error.unwrap().reason, "the target gave the guest back: no CPU");
}

#[test]
fn a_driver_that_reports_what_was_not_asked_for_is_a_local_failure() {
    let mut script = Script::new(config()).set_up();
    script.at(30, Event::Paused);
    let report = script.undone(31);
    assert_eq!(class_of(&report), Class::Local);
    assert!(report.error.unwrap().reason.contains("the driver reported Paused in phase rounds"));
}

#[test]
fn a_cancellation_says_who_or_what_it_was() {
    let whys = [
        (Cancellation::Request, Class::Cancelled, "cancelled on request"),
        (Cancellation::Interrupt, Class::Cancelled, "cancelled by Ctrl-C"),
        (
            Cancellation::GuestEnded("the guest powered off".into()),
            Class::Guest,
            "the guest ended before it had moved: the guest powered off",
        ),
        (
            Cancellation::ProcessEnds("SIGTERM".into()),
            Class::Cancelled,
            "given up because the process ends: SIGTERM",
        ),
    ];
    for (why, class, words) in whys {
        let mut script = Script::new(config()).set_up();
        assert_eq!(script.at(30, Event::Cancel(why)), [format!("say Abort: {words}"), "undo".into()]);
        let report = script.undone(31);
        assert_eq!((class_of(&report), report.error.unwrap().reason.as_str()), (class, words));
    }
}

#[test]
fn a_beat_changes_nothing() {
    for (phase, mut script) in everywhere(&config()) {
        let before = script.deadline();
        assert_eq!(script.at(40, said(TargetMessage::Beat)), NOTHING, "{phase}");
        assert_eq!(script.deadline(), before, "{phase}: who beats and owes an answer still owes it");
    }
}

#[test]
fn where_there_are_no_more_rounds_the_downtime_asked_for_is_kept_to() {
    for (on_timeout, ends) in [(OnTimeout::Cancel, "say Abort: "), (OnTimeout::Force, "pause")] {
        let downtime = Duration::ZERO;
        let mut script = Script::new(SourceConfig { on_timeout, downtime, ..config() }).set_up();
        let (mut ms, mut round, mut pages) = (20, 1, 3);
        let last = loop {
            script.at(ms, sent(pages));
            assert_eq!(script.at(ms + 1, round_done(round, pages)), ["harvest"]);
            let actions = script.at(ms + 2, Event::Harvested(set(&[0, 9])));
            if !actions[0].starts_with("round ") {
                break actions;
            }
            (ms, round, pages) = (ms + 3, round + 1, 2);
        };
        assert_eq!(round, MAX_ROUNDS);
        assert!(last[0].starts_with(ends), "{last:?}");
        if on_timeout == OnTimeout::Cancel {
            assert!(last[0].contains("10000 rounds are done, and the downtime would be "), "{last:?}");
        }
    }
}
