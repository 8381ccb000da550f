//! Events in any order: what a target never does, whatever it is told, and that it always comes to an end.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::cancellation::Cancellation;

/// What would come next if all went well. There are two lanes and two rounds.
fn natural(action: &Action) -> Vec<Event> {
    match action {
        Action::Send(TargetMessage::Hello(_)) => vec![prepare(2)],
        Action::Prepare { .. } => vec![Event::Prepared(Ok(()))],
        Action::AcceptLanes { .. } => vec![Event::LanesOpen],
        Action::Send(TargetMessage::LanesOpen) => vec![ended(1, 3, false), ended(1, 4, false)],
        Action::Send(TargetMessage::RoundDone { .. }) => vec![ended(2, 1, true), ended(2, 2, true), state()],
        Action::Build(_) => vec![Event::Built(Ok(()))],
        Action::Send(TargetMessage::Ready) => vec![said(SourceMessage::Go)],
        Action::Run => vec![started()],
        _ => vec![],
    }
}

/// Any event at all.
fn any_event(which: u8, number: u8) -> Event {
    let small = number % 4;
    match which % 24 {
        0 => hello_of(u16::from(small), u16::from(number)),
        1 => prepare(number),
        2 => state(),
        3 => said(SourceMessage::State(vec![section("a"); usize::from(small)])),
        4 => said(SourceMessage::Go),
        5 => said(SourceMessage::Abort("no".into())),
        6 => said(SourceMessage::Lane(crate::wire::LaneHello { session: 7, lane: small })),
        7 => Event::Prepared(Ok(())),
        8 => Event::Prepared(Err(vec!["no".into(); usize::from(small)])),
        9 => Event::LanesOpen,
        10 => ended(u32::from(small), 2, false),
        11 => ended(u32::from(small), 2, true),
        12 => Event::Built(Ok(())),
        13 => Event::Built(Err(HostError("no".into()))),
        14 => started(),
        15 => Event::Started(Err(HostError("no".into()))),
        16 => Event::ProtocolBroken(ProtocolError::new("no")),
        17 => Event::LinkLost("no".into()),
        18 => Event::Cancel(Cancellation::Request),
        19 => Event::Asked,
        20 => Event::Replaced,
        21 => Event::Decided(number.is_multiple_of(2)),
        _ => Event::Tick,
    }
}

/// What the target has done so far, watched.
#[derive(Default)]
struct Watch {
    built: bool,
    ready: bool,
    go: bool,
    run: bool,
    started: bool,
    discarded: bool,
    finished: bool,
}

impl Watch {
    fn hears(&mut self, event: &Event) {
        match event {
            Event::Built(Ok(())) => self.built = true,
            Event::Message(SourceMessage::Go) | Event::Decided(true) => self.go |= self.ready,
            Event::Started(Ok(_)) => self.started |= self.run,
            _ => {}
        }
    }

    fn sees(&mut self, action: &Action) {
        assert!(!self.finished, "{action:?} after the end");
        match action {
            Action::Send(TargetMessage::Ready) => {
                assert!(self.built && !self.ready, "ready once, when nothing is left that could fail");
                self.ready = true;
            }
            Action::Run => {
                assert!(self.go && !self.discarded, "never before Go");
                assert!(!std::mem::replace(&mut self.run, true), "once");
            }
            Action::Send(TargetMessage::Running { .. }) => assert!(self.started, "only what is true"),
            Action::Discard => {
                assert!(!self.started, "a guest that runs is not thrown away");
                assert!(!std::mem::replace(&mut self.discarded, true), "once");
            }
            Action::Finish(outcome) => {
                self.finished = true;
                assert_eq!(outcome.is_ok(), self.started);
                assert_eq!(outcome.is_err(), self.discarded);
            }
            _ => assert!(!self.discarded && !self.started, "{action:?} after it was decided"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn the_promises_hold(steps in proptest::collection::vec((0u8..40, any::<u8>(), any::<u8>()), 0..40)) {
        let mut target = Target::new(Duration::ZERO);
        let mut watch = Watch::default();
        let mut due = VecDeque::from([hello()]);
        let mut tell = |target: &mut Target, due: &mut VecDeque<Event>, at: u64, event: Event| {
            watch.hears(&event);
            target.handle(Duration::from_millis(at), event);
            while let Some(action) = target.poll_action() {
                watch.sees(&action);
                due.extend(natural(&action));
            }
            watch.finished
        };
        let mut at = 1;
        for (chance, which, number) in steps {
            at += if chance == 1 { 100_000 } else { 1 };
            // Mostly what is due next, so that every phase is reached; now and then two of them the wrong way round.
            let event = match chance {
                0 | 1 => Some(any_event(which, number)),
                2 => due.pop_back(),
                _ => due.pop_front(),
            };
            tell(&mut target, &mut due, at, event.unwrap_or_else(|| any_event(which, number)));
        }
        tell(&mut target, &mut due, at, Event::Cancel(Cancellation::Request));
        // Without a link, and once it is known whether a guest that was being started has started, it is over.
        tell(&mut target, &mut due, at, Event::LinkLost("the end".into()));
        prop_assert!(tell(&mut target, &mut due, at, started()), "it comes to an end");
    }
}
