//! A guest that is ready: that it is kept behind a lost link, for whom, for how long, and that it never runs by itself.

use super::*;

/// A target that has lost its link when it was ready, at 20 ms.
fn waiting() -> Script {
    let mut script = Script::new().ready();
    assert_eq!(script.at(20, Event::LinkLost("gone".into())), NOTHING);
    assert!(script.target.is_ready() && script.target.is_alone());
    script
}

#[test]
fn behind_a_lost_link_it_waits_for_its_source_and_answers_it() {
    let mut script = waiting();
    assert_eq!(script.at(30, Event::Asked), ["answer WaitsForGo"]);
    assert!(!script.target.is_alone());
    assert_eq!(script.at(40, said(SourceMessage::Go)), ["run"]);
    assert_eq!(script.at(41, Event::Asked), NOTHING, "the answer comes when it is known");
    assert_eq!(script.at(42, started())[0], "say Running: 4000");
}

#[test]
fn a_question_over_a_new_link_while_the_old_one_seems_well_is_answered_too() {
    assert_eq!(Script::new().ready().at(20, Event::Asked), ["answer WaitsForGo"]);
}

#[test]
fn go_on_the_old_link_that_comes_late_is_heard_once() {
    let mut script = waiting();
    assert_eq!(script.at(30, said(SourceMessage::Go)), ["run"]);
    assert_eq!(script.at(31, said(SourceMessage::Go)), NOTHING);
}

#[test]
fn what_ends_the_wait_is_said_and_a_later_go_is_too_late() {
    type End = (fn() -> Event, &'static str);
    let ends: [End; 6] = [
        (|| Event::Cancel(Cancellation::Request), "say Abort: cancelled on request"),
        (|| Event::Replaced, "say Abort: the source has begun another attempt"),
        (|| Event::Decided(false), "say Abort: let go at the target, as somebody there decided"),
        (|| said(SourceMessage::Abort("kept".into())), "say Abort: the source gave up: kept"),
        (hello, "say Abort: the source said Hello in phase waiting"),
        (|| Event::HostFailed(HostError("no".into())), "say Abort: no"),
    ];
    for (event, words) in ends {
        let mut script = waiting();
        let actions = script.at(30, event());
        assert_eq!(actions[..2], [words, "discard"], "{actions:?}");
        let called_off = actions[2].starts_with("finish: Cancelled");
        assert_eq!(
            called_off,
            words == "say Abort: cancelled on request",
            "else it goes on listening: {actions:?}"
        );
        assert_eq!(script.at(31, said(SourceMessage::Go)), NOTHING);
        assert_eq!(script.at(32, Event::Decided(true)), NOTHING);
    }
}

#[test]
fn it_waits_for_so_long_and_never_runs_by_itself() {
    let mut script = waiting();
    assert_eq!(script.deadline(), Some(Duration::from_millis(300_014)), "since it was ready");
    assert_eq!(script.at(300_013, Event::Tick), NOTHING);
    let actions = script.at(300_014, Event::Tick);
    assert!(actions[0].starts_with("say Abort: the source has not said for too long"), "{actions:?}");
    assert_eq!(actions[1], "discard");
}

#[test]
fn a_person_may_decide_that_it_runs_here() {
    let mut script = waiting();
    assert_eq!(script.at(30, Event::Decided(true)), ["run"]);
}

#[test]
fn a_question_before_it_is_ready_breaks_the_protocol() {
    for (phase, mut script) in everywhere() {
        let actions = script.at(20, Event::Asked);
        assert!(actions[0].starts_with("say Abort: the source asks in phase"), "{phase}: {actions:?}");
    }
}
