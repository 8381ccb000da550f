//! The target's machine, as the model tells it things and hears of it.

use std::{collections::VecDeque, time::Duration};

use godwit_migration::{
    cancellation::Cancellation,
    host::HostError,
    target::{Action, Event, Target},
    wire::{LaneEvent, TargetMessage},
};

use super::{
    automaton::Machine,
    bug::Bug,
    messages::{Messages, Word},
};

/// What a target can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    Message(Word),
    /// Whether the machine could be made.
    Prepared(bool),
    LanesOpen,
    /// A lane has ended a round.
    Ended {
        round: u8,
        pages: u8,
        last: bool,
    },
    /// Whether the state could be loaded.
    Built(bool),
    /// Whether the guest runs.
    Started(bool),
    /// The source is back, and asks.
    Asked,
    /// The source has begun another attempt here.
    Replaced,
    /// A person has decided that the guest runs here, or never will.
    Decided(bool),
    LinkLost,
    Cancel,
    Tick,
}

/// What a target can want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wants {
    Say(Word),
    Prepare,
    AcceptLanes,
    Build,
    Run,
    Discard,
    /// Whether the guest runs here.
    Finish(bool),
}

/// The machine.
pub struct Arriving {
    target: Target,
    bug: Option<Bug>,
    /// What a wrong machine wants besides.
    wrong: VecDeque<Wants>,
}

impl Machine for Arriving {
    type Told = Told;
    type Wants = Wants;
    type Setting = Option<Bug>;

    const FORGETS: &str = "ready";

    fn begin(bug: &Option<Bug>) -> Self {
        Self { target: Target::new(Duration::ZERO), bug: *bug, wrong: VecDeque::new() }
    }

    fn tell(&mut self, now: Duration, told: Told, messages: &Messages) {
        let no = || HostError("it cannot".into());
        let event = match told {
            Told::Replaced if self.bug == Some(Bug::TakesAnAttemptForGo) => Event::Decided(true),
            Told::Started(_) if self.bug == Some(Bug::RunsBeforeGo) => return,
            Told::Started(true) if self.bug == Some(Bug::GivesBackAndRuns) => Event::Started(Err(no())),
            Told::Message(word) => Event::Message(messages.source(word)),
            Told::Prepared(true) => Event::Prepared(Ok(())),
            Told::Prepared(false) => Event::Prepared(Err(vec!["it does not fit".into()])),
            Told::LanesOpen => Event::LanesOpen,
            Told::Ended { round, pages, last } => {
                Event::Lane(LaneEvent::RoundEnd { round: u32::from(round), pages: u64::from(pages), last })
            }
            Told::Built(ok) => Event::Built(if ok { Ok(()) } else { Err(no()) }),
            Told::Started(ok) => Event::Started(if ok { Ok(Duration::ZERO) } else { Err(no()) }),
            Told::Asked => Event::Asked,
            Told::Replaced => Event::Replaced,
            Told::Decided(runs) => Event::Decided(runs != (self.bug == Some(Bug::TurnsADecisionRound))),
            Told::LinkLost => Event::LinkLost("the link was lost".into()),
            Told::Cancel => Event::Cancel(Cancellation::Request),
            Told::Tick => Event::Tick,
        };
        self.target.handle(now, event);
    }

    fn wants(&mut self, messages: &mut Messages) -> Option<Wants> {
        if let Some(wrong) = self.wrong.pop_front() {
            return Some(wrong);
        }
        Some(match self.target.poll_action()? {
            Action::Send(message) => {
                if message == TargetMessage::Ready && self.bug == Some(Bug::RunsBeforeGo) {
                    self.wrong.push_back(Wants::Run);
                }
                Wants::Say(messages.of_target(&message))
            }
            Action::Prepare { .. } => Wants::Prepare,
            Action::Check(_) | Action::Answered => unreachable!("no source of the model only checks"),
            Action::AcceptLanes { .. } => Wants::AcceptLanes,
            Action::Build(_) => Wants::Build,
            Action::Run => Wants::Run,
            Action::Discard => Wants::Discard,
            Action::Finish(outcome) => Wants::Finish(outcome.is_ok()),
        })
    }

    fn deadline(&self) -> Option<Duration> {
        self.target.poll_deadline()
    }

    fn passes(told: Told) -> Option<Duration> {
        (told == Told::Tick).then_some(Duration::ZERO)
    }

    fn phase(&self) -> String {
        self.target.phase().into()
    }
}
