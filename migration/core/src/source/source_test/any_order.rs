//! Events in any order: what a source never does, whatever it is told, and that it always comes to an end.

use proptest::prelude::*;

use super::*;
use crate::{cancellation::Cancellation, error::ProtocolError, host::HostError, wire::Answer};

/// What would come of an action if all went well.
fn natural(action: &Action) -> Vec<Event> {
    match action {
        Action::Send(SourceMessage::Hello(_)) => vec![hello()],
        Action::Send(SourceMessage::Prepare(_)) => vec![said(TargetMessage::Prepared)],
        Action::Send(SourceMessage::State(_)) => vec![said(TargetMessage::Ready)],
        Action::Send(SourceMessage::Go) => vec![said(TargetMessage::Running { cpu_us: 1 })],
        Action::OpenLanes(_) => vec![Event::LanesOpen, said(TargetMessage::LanesOpen)],
        Action::StartTracking(_) => vec![Event::Tracking(set(&[1, 2, 3]))],
        Action::Harvest => vec![Event::Harvested(set(&[2]))],
        Action::SendRound { round, plan, last } => {
            let pages = u64::from(plan.pages.count());
            let mut events = vec![sent(pages)];
            events.extend((!last).then(|| round_done(*round, pages)));
            events
        }
        Action::Pause => vec![Event::Paused],
        Action::Save => vec![Event::Saved(Sections::default())],
        Action::Undo => vec![Event::Undone(Ok(()))],
        Action::GiveUp => vec![Event::GivenUp],
        Action::Ask => vec![said(TargetMessage::Answer(Answer::WaitsForGo))],
        Action::Send(_) | Action::Throttle(_) | Action::TakeBack | Action::Finish(_) => {
            vec![]
        }
    }
}

/// Any event at all.
fn any_event(which: u8, number: u8) -> Event {
    let number = u32::from(number % 4);
    match which % 26 {
        0 => hello(),
        1 => said(TargetMessage::Refused(vec!["no".into(); number as usize])),
        2 => said(TargetMessage::Prepared),
        3 => said(TargetMessage::LanesOpen),
        4 => round_done(number, 3),
        5 => said(TargetMessage::Ready),
        6 => said(TargetMessage::Running { cpu_us: 0 }),
        7 => said(TargetMessage::Abort("no".into())),
        8 => Event::LanesOpen,
        9 => Event::Tracking(set(&[number])),
        10 => Event::Harvested(set(&[number])),
        11 => sent(u64::from(number)),
        12 => Event::Paused,
        13 => Event::Saved(Sections::default()),
        14 => Event::Undone(Ok(())),
        15 => Event::Undone(Err(HostError("no".into()))),
        16 => Event::ProtocolBroken(ProtocolError::new("no")),
        17 => Event::LinkLost("no".into()),
        18 => Event::HostFailed(HostError("no".into())),
        19 => Event::Cancel(Cancellation::Request),
        20 => round_done(1, u64::MAX),
        21 => Event::GivenUp,
        22 => said(TargetMessage::Answer(Answer::Never("no".into()))),
        23 => said(TargetMessage::Answer(Answer::WaitsForGo)),
        24 => said(TargetMessage::Answer(
            [Answer::Runs, Answer::Unknown, Answer::Ended, Answer::Runs][number as usize].clone(),
        )),
        _ => Event::Tick,
    }
}

/// What the source has done so far, watched.
#[derive(Default)]
struct Watch {
    ready: bool,
    given_back: bool,
    paused: bool,
    has_given_up: bool,
    said_go: bool,
    undone: bool,
    finished: bool,
}

impl Watch {
    fn hears(&mut self, event: &Event) {
        match event {
            Event::Message(TargetMessage::Ready) => self.ready = true,
            Event::Message(TargetMessage::Abort(_) | TargetMessage::Answer(Answer::Never(_))) => {
                self.given_back = true;
            }
            _ => {}
        }
    }

    fn sees(&mut self, action: &Action) {
        assert!(!self.finished, "{action:?} after the end");
        match action {
            Action::Pause => assert!(!std::mem::replace(&mut self.paused, true), "one pause"),
            Action::GiveUp => {
                assert!(self.ready && self.paused && !self.undone, "never before the target is ready");
                assert!(!std::mem::replace(&mut self.has_given_up, true), "once");
            }
            Action::Send(SourceMessage::Go) => {
                assert!(self.has_given_up, "Go only after the right to run was given up");
                self.said_go = true;
            }
            Action::TakeBack => {
                let nobodys = self.given_back || !self.said_go;
                assert!(
                    self.has_given_up && nobodys,
                    "only what the target gives back, or has never been given"
                );
                self.has_given_up = false;
            }
            Action::Undo => {
                assert!(!self.has_given_up, "a guest that was given up is not resumed");
                assert!(!std::mem::replace(&mut self.undone, true), "once");
            }
            Action::Finish(report) => {
                self.finished = true;
                let up = matches!(report.outcome, Outcome::Completed | Outcome::Unknown);
                assert_eq!(up, self.has_given_up, "{:?}", report.outcome);
                assert_eq!(!up, self.undone, "{:?}", report.outcome);
                assert_eq!(report.error.is_none(), report.outcome == Outcome::Completed);
            }
            _ => assert!(!self.undone || matches!(action, Action::Send(_)), "{action:?} while undoing"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn the_promises_hold(steps in proptest::collection::vec((0u8..40, any::<u8>(), any::<u8>()), 0..60), preset in 0..crate::preset::PRESETS.len()) {
        let scheme = crate::preset::Scheme::of(&crate::preset::PRESETS[preset]);
        let mut source = Source::new(Duration::ZERO, SourceConfig { scheme, ..config() });
        let mut watch = Watch::default();
        let mut due = std::collections::VecDeque::new();
        let mut tell = |source: &mut Source, due: &mut std::collections::VecDeque<Event>, at: u64, event: Event| {
            watch.hears(&event);
            source.handle(Duration::from_millis(at), event);
            while let Some(action) = source.poll_action() {
                watch.sees(&action);
                due.extend(natural(&action));
            }
            watch.finished
        };
        tell(&mut source, &mut due, 0, Event::Tick);
        let mut at = 1;
        for (chance, which, number) in steps {
            at += if chance == 1 { 100_000 } else { 1 };
            // Mostly what is due next, so that every phase is reached; now and then two of them the wrong way round.
            let event = match chance {
                0 | 1 => Some(any_event(which, number)),
                2 => due.pop_back(),
                _ => due.pop_front(),
            };
            tell(&mut source, &mut due, at, event.unwrap_or_else(|| any_event(which, number)));
        }
        tell(&mut source, &mut due, at, Event::LinkLost("the end".into()));
        tell(&mut source, &mut due, at, Event::Cancel(Cancellation::Request));
        prop_assert!(tell(&mut source, &mut due, at, Event::Undone(Ok(()))), "it comes to an end");
    }
}
