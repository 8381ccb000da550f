//! After `Go` with a lost or silent link: what the source asks, what it makes of each answer, and when it gives up.

use super::*;
use crate::{error::ProtocolError, host::HostError, wire::Answer};

const NOTHING: [&str; 0] = [];

fn answer(answer: Answer) -> Event {
    said(TargetMessage::Answer(answer))
}

fn handed_over() -> Script {
    Script::new(config()).set_up().paused().last_round().handed_over()
}

/// A source that has asked, at 31 ms.
fn asking() -> Script {
    let mut script = handed_over();
    assert_eq!(script.at(31, Event::LinkLost("gone".into())), ["ask"]);
    script
}

#[test]
fn whatever_is_no_answer_after_go_is_asked_about() {
    let silences: [(u64, fn() -> Event); 5] = [
        (31, || Event::LinkLost("gone".into())),
        (31, || Event::ProtocolBroken(ProtocolError::new("nonsense"))),
        (31, || said(TargetMessage::Ready)),
        (31, || said(TargetMessage::Refused(vec![]))),
        (10_030, || Event::Tick),
    ];
    for (ms, event) in silences {
        let mut script = handed_over();
        assert_eq!(script.deadline(), Some(Duration::from_millis(10_030)));
        assert_eq!(script.at(ms, event()), ["ask"], "and nothing is undone");
        assert_eq!(script.deadline(), Some(Duration::from_millis(ms + 10_000)));
        assert!(!script.source.can_cancel());
    }
}

#[test]
fn each_answer_leads_where_it_says() {
    assert_eq!(asking().at(40, answer(Answer::Runs)), ["finish: Completed"]);
    assert_eq!(asking().at(40, said(TargetMessage::Running { cpu_us: 0 })), ["finish: Completed"]);
    for never in [answer(Answer::Never("fenced".into())), said(TargetMessage::Abort("fenced".into()))] {
        let mut script = asking();
        assert_eq!(script.at(40, never), ["take back", "undo"]);
        let report = script.undone(41);
        assert_eq!((report.outcome, class_of(&report)), (Outcome::Failed, Class::Peer));
        assert_eq!(report.error.unwrap().reason, "the target gave the guest back: fenced");
    }
    for (given, words) in [(Answer::Unknown, "knows nothing"), (Answer::Ended, "process has ended since")] {
        let mut script = asking();
        assert_eq!(script.at(40, answer(given)), ["finish: Unknown"], "and nothing is undone");
        let report = script.report.unwrap();
        assert_eq!(class_of(&report), Class::Unknown);
        let reason = report.error.unwrap().reason;
        assert!(reason.starts_with("gone after the guest") && reason.contains(words), "{reason}");
    }
}

#[test]
fn a_target_that_has_not_heard_go_is_told_again() {
    let mut script = asking();
    assert_eq!(script.at(40, answer(Answer::WaitsForGo)), ["say Go"]);
    assert_eq!(script.at(50, said(TargetMessage::Running { cpu_us: 0 })), ["finish: Completed"]);
    assert_eq!(handed_over().at(31, answer(Answer::WaitsForGo)), ["ask"], "only who was asked may say so");
}

#[test]
fn it_asks_again_ever_more_slowly_and_then_the_outcome_is_unknown() {
    let mut script = asking();
    let (mut now, mut rests) = (31, vec![]);
    loop {
        let actions = script.at(now, Event::LinkLost("refused".into()));
        if actions == ["finish: Unknown"] {
            break;
        }
        assert_eq!(actions, NOTHING);
        let next = script.deadline().unwrap().as_millis() as u64;
        rests.push(next - now);
        assert_eq!(script.at(next - 1, Event::Tick), NOTHING, "not yet");
        assert_eq!(script.at(next, Event::Tick), ["ask"]);
        now = next;
    }
    assert_eq!(rests[..6], [100, 200, 400, 800, 1600, 2000]);
    assert!((15_031..17_031).contains(&now), "{now} ms");
    assert!(script.report.unwrap().error.unwrap().reason.contains("became of it: refused"));
}

#[test]
fn a_person_may_end_the_asking_but_not_the_wait_for_the_first_answer() {
    assert_eq!(asking().at(40, Event::Cancel(Cancellation::Request)), ["finish: Unknown"]);
    assert_eq!(handed_over().at(40, Event::Cancel(Cancellation::Request)), NOTHING);
}

#[test]
fn a_right_that_cannot_be_given_up_on_record_stays() {
    type Failure = (fn() -> Event, Class, bool);
    let failures: [Failure; 4] = [
        (|| Event::HostFailed(HostError("disk full".into())), Class::Local, true),
        (|| Event::Cancel(Cancellation::Request), Class::Cancelled, true),
        (|| Event::LinkLost("gone".into()), Class::Link, true),
        (|| said(TargetMessage::Abort("no".into())), Class::Peer, false),
    ];
    for (event, class, told) in failures {
        let mut script = Script::new(config()).set_up().paused().last_round();
        script.at(28, sent(3));
        assert_eq!(script.at(29, said(TargetMessage::Ready)), ["give up"]);
        let actions = script.at(30, event());
        let says = actions.iter().any(|action| action.starts_with("say Abort"));
        assert!(
            actions[0] == "take back" && actions.last().unwrap() == "undo" && says == told,
            "{actions:?}"
        );
        assert_eq!(class_of(&script.undone(31)), class);
    }
}
