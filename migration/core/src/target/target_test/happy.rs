//! All goes well: each action, and the words that may come in another order.

use super::*;
use crate::cancellation::Cancellation;

#[test]
fn a_migration_action_by_action() {
    let mut script = Script::new();
    assert_eq!(script.at(1, hello()), ["say Hello"]);
    assert_eq!(script.at(2, prepare(2)), ["prepare 128 pages"]);
    assert_eq!(script.at(5, Event::Prepared(Ok(()))), ["accept 2 lanes of 7", "say Prepared"]);
    assert_eq!(script.at(6, Event::LanesOpen), ["say LanesOpen"]);
    assert_eq!(script.at(9, ended(1, 100, false)), NOTHING, "the other lane is still at it");
    assert_eq!(script.at(10, ended(1, 28, false)), ["say RoundDone 1: 128"]);
    assert_eq!(script.at(12, ended(2, 0, true)), NOTHING);
    assert_eq!(script.at(13, ended(2, 5, true)), NOTHING, "no answer to the last round: Ready is the answer");
    assert_eq!(script.at(14, state()), ["build of 1 sections"]);
    assert_eq!(script.at(16, Event::Built(Ok(()))), ["say Ready"]);
    assert_eq!(script.at(17, said(SourceMessage::Go)), ["run"]);
    assert_eq!(script.at(18, started()), ["say Running: 4000", "finish: 133 pages in 2 rounds"]);
    assert_eq!(script.at(19, Event::LinkLost("closed".into())), NOTHING, "nothing after the end");
}

#[test]
fn the_state_may_come_before_the_last_pages() {
    let mut script = Script::new().open();
    assert_eq!(script.at(10, state()), NOTHING);
    assert_eq!(script.at(11, ended(1, 3, true)), NOTHING);
    assert_eq!(script.at(12, ended(1, 4, true)), ["build of 1 sections"]);

    let mut script = Script::new().open();
    assert_eq!(script.at(10, ended(1, 3, true)), NOTHING);
    assert_eq!(script.at(11, state()), NOTHING, "one lane is still at it");
    assert_eq!(script.at(12, ended(1, 4, true)), ["build of 1 sections"]);
}

#[test]
fn the_newest_version_that_both_speak_is_chosen() {
    for (oldest, newest) in [PROTOCOL, (0, PROTOCOL.1), (PROTOCOL.1, u16::MAX)] {
        let mut target = Target::new(Duration::ZERO);
        target.handle(Duration::ZERO, hello_of(oldest, newest));
        let Some(Action::Send(TargetMessage::Hello(reply))) = target.poll_action() else {
            panic!("{oldest} to {newest} go together with {PROTOCOL:?}");
        };
        assert_eq!(reply.version, PROTOCOL.1.min(newest));
        assert_eq!(reply.capabilities, crate::limits::CAPABILITIES, "what both can do");
    }
}

#[test]
fn a_slow_round_and_a_slow_go_are_waited_for() {
    for (phase, script) in everywhere() {
        let awaited = ["hello", "prepare", "lanes"].contains(&phase);
        assert_eq!(script.deadline().is_some(), awaited, "{phase}");
    }
    let mut script = Script::new().ready();
    assert_eq!(script.at(300_000, Event::Tick), NOTHING);
    assert_eq!(script.at(300_001, said(SourceMessage::Go)), ["run"]);
}

#[test]
fn once_go_has_come_the_guest_runs_whatever_becomes_of_the_link() {
    let mut script = Script::new().starting();
    assert_eq!(script.at(16, Event::LinkLost("gone".into())), NOTHING);
    assert_eq!(script.at(16, Event::Cancel(Cancellation::Request)), NOTHING);
    assert_eq!(script.at(16, said(SourceMessage::Abort("no".into()))), NOTHING);
    assert_eq!(script.at(99_999, Event::Tick), NOTHING);
    assert_eq!(script.at(99_999, started()), ["say Running: 4000", "finish: 3 pages in 1 rounds"]);
}

#[test]
fn a_source_that_only_asks_is_answered_and_nothing_is_made() {
    let ask = || said(SourceMessage::Check(Box::new(Prepare { shape: shape(), lanes: 2 })));
    let answers = [
        (vec![], "say Accepted"),
        (vec!["no avx2".into(), "no memory".into()], "say Refused: no avx2; no memory"),
    ];
    for (reasons, answer) in answers {
        let mut script = Script::new().after(1, hello());
        assert_eq!(script.at(2, ask()), ["check 128 pages"]);
        assert_eq!(script.at(3, Event::Checked(reasons)), [answer, "answered"]);
        assert_eq!(script.deadline(), None);
    }
    let mut script = Script::new().after(1, hello());
    let wrong = SourceMessage::Check(Box::new(Prepare { shape: shape(), lanes: 0 }));
    assert_eq!(script.at(2, said(wrong)), ["say Refused: 0 lanes; 1 to 16 are possible", "answered"]);
}

#[test]
fn a_beat_changes_nothing() {
    for (phase, mut script) in everywhere() {
        let before = script.deadline();
        assert_eq!(script.at(3, said(SourceMessage::Beat)), NOTHING, "{phase}");
        assert_eq!(script.deadline(), before, "{phase}: who beats and owes an answer still owes it");
    }
}
