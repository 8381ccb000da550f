//! What goes wrong, in every phase: what the source is told, and that the machine is thrown away and never ran.

use super::*;
use crate::{cancellation::Cancellation, shape::DeviceShape};

#[test]
fn a_failure_before_go_discards_the_machine_and_is_told_to_a_source_that_may_hear_it() {
    type Failure = (fn() -> Event, &'static str, Option<&'static str>);
    let failures: [Failure; 5] = [
        (
            || Event::Cancel(Cancellation::Request),
            "Cancelled, cancelled on request",
            Some("say Abort: cancelled on request"),
        ),
        (
            || Event::HostFailed(HostError("no memory".into())),
            "Local, no memory",
            Some("say Abort: no memory"),
        ),
        (
            || Event::ProtocolBroken(ProtocolError::new("nonsense")),
            "Protocol, the peer broke the protocol: nonsense",
            Some("say Abort: the peer broke the protocol: nonsense"),
        ),
        (|| Event::LinkLost("gone".into()), "Link, gone", Some("say Abort: gone")),
        (|| said(SourceMessage::Abort("no\x07 more".into())), "Peer, the source gave up: no  more", None),
    ];
    for (event, class, told) in failures {
        for (phase, mut script) in everywhere() {
            let actions = script.at(20, event());
            let (finish, before) = actions.split_last().expect("an end");
            let expected: Vec<_> = told.into_iter().chain(["discard"]).collect();
            assert_eq!(before, expected, "{phase}");
            assert!(finish.starts_with(&format!("finish: {class} (in phase ")), "{phase}: {finish}");
            assert_eq!(script.deadline(), None);
            assert_eq!(script.at(21, said(SourceMessage::Go)), NOTHING, "{phase}: too late");
        }
    }
}

#[test]
fn a_machine_that_cannot_be_is_refused_with_every_reason() {
    let mut script = Script::new().after(1, hello()).after(2, prepare(2));
    let reasons = vec!["too little memory".to_string(), "no avx2".into()];
    let actions = script.at(3, Event::Prepared(Err(reasons)));
    assert_eq!(
        actions,
        [
            "say Refused: too little memory; no avx2",
            "discard",
            "finish: Incompatible, refused: too little memory; no avx2 (in phase prepare, round 0)"
        ]
    );
}

#[test]
fn a_shape_from_a_peer_is_checked_before_anything_is_made_of_it() {
    let wrong = MachineShape { memory: MemoryShape::default(), ..shape() };
    let named = |kind: &str| {
        let device =
            DeviceShape { instance: "com1".into(), kind: kind.into(), version: 1, queue_sizes: vec![] };
        MachineShape { devices: vec![device], ..shape() }
    };
    let mut queues = named("virtio-x");
    queues.devices[0].queue_sizes = vec![1; 65];
    for (shape, lanes, reasons) in [
        (shape(), 0, "0 lanes; 1 to 16 are possible"),
        (shape(), 17, "17 lanes; 1 to 16 are possible"),
        (named("\x1b[2J"), 1, "device 0 has a name with control characters"),
        (named(&"x".repeat(65)), 1, "device 0 has a name of 65 bytes; at most 64 are possible"),
        (queues, 1, "device 'com1' has 65 queues; at most 64 are possible"),
        (wrong, 99, "0 memory regions; there must be 1 to 16; 99 lanes; 1 to 16 are possible"),
    ] {
        let mut script = Script::new().after(1, hello());
        let actions = script.at(2, said(SourceMessage::Prepare(Box::new(Prepare { shape, lanes }))));
        assert_eq!(actions[..2], [format!("say Refused: {reasons}"), "discard".into()]);
    }
}

#[test]
fn versions_that_do_not_go_together_are_refused_in_words() {
    for (oldest, newest) in [(PROTOCOL.1 + 1, PROTOCOL.1 + 9), (0, PROTOCOL.0 - 1), (5, 2)] {
        let actions = Script::new().at(1, hello_of(oldest, newest));
        let words = format!("speaks protocol versions {oldest} to {newest}, this target");
        assert!(actions[0].starts_with("say Refused") && actions[0].contains(&words), "{actions:?}");
    }
}

#[test]
fn a_source_that_owes_a_word_has_ten_seconds() {
    for (phase, since) in [("hello", 0), ("prepare", 1), ("lanes", 5)] {
        let (_, mut script) = everywhere().into_iter().find(|(name, _)| *name == phase).unwrap();
        let due = Duration::from_millis(since + 10_000);
        assert_eq!(script.deadline(), Some(due), "{phase}");
        assert_eq!(script.at(since + 9_999, Event::Tick), NOTHING, "{phase}: not yet");
        let actions = script.at(since + 10_000, Event::Tick);
        assert_eq!(
            actions[..2],
            ["say Abort: the source has been silent for too long", "discard"],
            "{phase}"
        );
    }
}

#[test]
fn words_that_are_not_due_are_errors() {
    let all: [fn() -> Event; 5] = [
        hello,
        || prepare(2),
        state,
        || said(SourceMessage::Go),
        || said(SourceMessage::Lane(crate::wire::LaneHello { session: 7, lane: 0 })),
    ];
    let due = [("hello", "Hello"), ("prepare", "Prepare"), ("receiving", "State")];
    for event in all {
        for (phase, mut script) in everywhere() {
            let Event::Message(message) = event() else { continue };
            let name = message.name();
            let actions = script.at(20, Event::Message(message));
            let refused =
                actions.first().is_some_and(|action| action.starts_with("say Abort: the source said"));
            assert_eq!(refused, !due.contains(&(phase, name)), "{name} in {phase}: {actions:?}");
        }
    }
}

#[test]
fn go_is_not_believed_before_ready() {
    for (phase, mut script) in everywhere() {
        let actions = script.at(20, said(SourceMessage::Go));
        assert!(
            !actions.contains(&"run".into()) && actions.contains(&"discard".into()),
            "{phase}: {actions:?}"
        );
    }
}

#[test]
fn rounds_that_do_not_end_as_they_should_are_errors() {
    let wrong: [&[(u32, bool)]; 5] = [
        &[(2, false)],                         // the second before the first
        &[(1, false), (2, false)],             // one lane ahead of the other
        &[(1, false), (1, true)],              // lanes that disagree whether it is the last
        &[(1, true), (1, true), (2, true)],    // a round after the last
        &[(1, false), (1, false), (1, false)], // a round that ends again
    ];
    for ends in wrong {
        let mut script = Script::new().open();
        let (last, before) = ends.split_last().unwrap();
        for &(round, last) in before {
            let actions = script.at(10, ended(round, 1, last));
            assert!(!actions.contains(&"discard".into()), "{ends:?}: {actions:?}");
        }
        let actions = script.at(11, ended(last.0, 1, last.1));
        assert!(actions[0].contains("a lane ended round"), "{ends:?}: {actions:?}");
    }
}

#[test]
fn the_state_comes_once_and_whole() {
    let mut script = Script::new().open().after(10, state());
    assert!(script.at(11, state())[0].contains("the source said State"));

    let mut script = Script::new().open();
    let twice = said(SourceMessage::State(vec![section("a"), section("a")]));
    assert!(script.at(10, twice)[0].contains("there are two of it"));
}

#[test]
fn a_state_that_does_not_load_is_given_back_before_ready() {
    let mut script = Script::new().complete();
    let actions = script.at(13, Event::Built(Err(HostError("no such device".into()))));
    assert_eq!(actions[..2], ["say Abort: no such device", "discard"]);
}

#[test]
fn a_guest_that_does_not_start_is_given_back() {
    let mut script = Script::new().starting();
    let actions = script.at(16, Event::Started(Err(HostError("no CPU".into()))));
    assert_eq!(
        actions,
        ["say Abort: no CPU", "discard", "finish: Local, no CPU (in phase handover, round 1)"]
    );
}

#[test]
fn a_driver_that_reports_what_was_not_asked_for_is_a_local_failure() {
    let actions = Script::new().open().at(10, Event::Built(Ok(())));
    assert!(actions[2].contains("Local, the driver reported Built(Ok(())) in phase rounds"), "{actions:?}");
}
