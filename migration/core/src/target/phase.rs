//! The phases of a target: one struct each, consumed by the step that leaves it.

use std::time::Duration;

use godwit_state::{Section, Sections};

use super::{Action, Arrival, Context, Event, ready::Ready};
use crate::{
    error::{Class, MigrationError},
    limits::{ANSWER_TIMEOUT, CAPABILITIES, MAX_LANES, MAX_ROUNDS, PROTOCOL, SOFTWARE},
    source::Time,
    wire::{Hello, HelloReply, LaneEvent, Prepare, SourceMessage, TargetMessage, clean_text},
};

/// Where a target is.
pub(super) enum Phase {
    /// Nothing has been said.
    Hello,
    /// The versions go together.
    Prepare(Session),
    /// The machine is being made.
    Preparing(Lanes),
    /// The source only asks: the shape is being checked.
    Checking,
    /// Lanes are awaited.
    Opening(Lanes),
    /// Pages arrive.
    Receiving(Receiving),
    /// The state is being loaded.
    Building,
    /// Everything is loaded and checked.
    Ready(Ready),
    /// `Go` has come; the guest is being started.
    Starting,
    /// Nothing more will happen.
    Done,
}

/// A source that speaks our version.
pub(super) struct Session {
    session: u128,
}

/// A source that has said how many lanes it wants.
pub(super) struct Lanes {
    session: u128,
    lanes: u8,
}

/// Rounds, as far as they have come.
pub(super) struct Receiving {
    lanes: u8,
    round: u32,
    ended: u8,
    pages: u64,
    last: bool,
    state: Option<Sections>,
}

impl Phase {
    pub(super) fn begin(context: &mut Context, now: Time) -> Self {
        context.expect(now, ANSWER_TIMEOUT);
        Self::Hello
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Prepare(_) | Self::Preparing(_) | Self::Checking => "prepare",
            Self::Opening(_) => "setup",
            Self::Receiving(_) => "rounds",
            Self::Building => "build",
            Self::Ready(ready) => ready.name(),
            Self::Starting => "handover",
            Self::Done => "done",
        }
    }

    /// The next phase.
    pub(super) fn step(self, context: &mut Context, now: Time, event: Event) -> Self {
        match (self, event) {
            (Self::Done, _) => Self::Done,
            (Self::Starting, event) => starting(context, event),
            (Self::Ready(ready), event) => ready.step(context, now, event),
            (phase, Event::Tick) if context.is_late(now) => {
                phase.fail(context, Class::Link, "the source has been silent for too long")
            }
            (phase, Event::Tick) => phase,
            (phase, Event::Message(SourceMessage::Beat)) => phase,
            (phase, Event::Cancel(why)) => phase.fail(context, why.class(), &why.to_string()),
            (phase, Event::Asked) => {
                let text = format!("the source asks in phase {} what became of its guest", phase.name());
                phase.fail(context, Class::Protocol, &text)
            }
            (phase, Event::Replaced | Event::Decided(_)) => phase,
            (phase, Event::LinkLost(reason)) => phase.fail(context, Class::Link, &reason),
            (phase, Event::HostFailed(error)) => phase.fail(context, Class::Local, &error.0),
            (phase, Event::ProtocolBroken(error)) => phase.fail(context, Class::Protocol, &error.to_string()),
            (phase, Event::Message(SourceMessage::Abort(reason))) => {
                phase.fail(context, Class::Peer, &format!("the source gave up: {}", clean_text(&reason)))
            }
            (phase, Event::Message(message)) => phase.message(context, now, message),
            (phase, event) => phase.done(context, now, event),
        }
    }

    /// What the source says, in the phases where it may.
    fn message(self, context: &mut Context, now: Time, message: SourceMessage) -> Self {
        match (self, message) {
            (Self::Hello, SourceMessage::Hello(hello)) => greet(context, now, &hello),
            (Self::Prepare(session), SourceMessage::Prepare(prepare)) => {
                context.due_never();
                let reasons = contradictions(&prepare);
                if !reasons.is_empty() {
                    return refuse(context, reasons);
                }
                let Session { session } = session;
                let Prepare { shape, lanes } = *prepare;
                context.actions.push_back(Action::Prepare { session, shape: Box::new(shape) });
                Self::Preparing(Lanes { session, lanes })
            }
            (Self::Prepare(_), SourceMessage::Check(prepare)) => {
                context.due_never();
                let reasons = contradictions(&prepare);
                if !reasons.is_empty() {
                    return answer(context, reasons);
                }
                context.actions.push_back(Action::Check(Box::new(prepare.shape)));
                Self::Checking
            }
            (Self::Receiving(phase), SourceMessage::State(sections)) if phase.state.is_none() => {
                phase.state(context, sections)
            }
            (phase, message) => {
                let text = format!("the source said {} in phase {}", message.name(), phase.name());
                phase.fail(context, Class::Protocol, &text)
            }
        }
    }

    /// What the driver has done, in the phases that asked for it.
    fn done(self, context: &mut Context, now: Time, event: Event) -> Self {
        match (self, event) {
            (Self::Preparing(lanes), Event::Prepared(Ok(()))) => {
                let Lanes { session, lanes: count } = lanes;
                context.actions.push_back(Action::AcceptLanes { session, lanes: count });
                context.send(TargetMessage::Prepared);
                context.expect(now, ANSWER_TIMEOUT);
                Self::Opening(lanes)
            }
            (Self::Preparing(_), Event::Prepared(Err(reasons))) => refuse(context, reasons),
            (Self::Checking, Event::Checked(reasons)) => answer(context, reasons),
            (Self::Opening(Lanes { lanes, .. }), Event::LanesOpen) => {
                context.due_never();
                context.send(TargetMessage::LanesOpen);
                Self::Receiving(Receiving { lanes, round: 1, ended: 0, pages: 0, last: false, state: None })
            }
            (Self::Receiving(phase), Event::Lane(event)) => phase.lane(context, event),
            (Self::Building, Event::Built(Ok(()))) => {
                context.send(TargetMessage::Ready);
                Ready::begin(context, now)
            }
            (phase @ Self::Building, Event::Built(Err(error))) => phase.fail(context, Class::Local, &error.0),
            (phase, event) => {
                let text = format!("the driver reported {event:?} in phase {}", phase.name());
                phase.fail(context, Class::Local, &text)
            }
        }
    }

    /// Gives up: the guest never ran here.
    pub(super) fn fail(self, context: &mut Context, class: Class, reason: &str) -> Self {
        // Also where the link counts as lost: a peer that is only slow reads why it was given up.
        if class != Class::Peer {
            context.send(TargetMessage::Abort(reason.into()));
        }
        context.end(self.name(), class, reason)
    }
}

impl Receiving {
    /// A lane has ended a round. The lanes end a round in any order, but none begins the next before all have ended.
    fn lane(mut self, context: &mut Context, event: LaneEvent) -> Phase {
        let LaneEvent::RoundEnd { round, pages, last } = event;
        if round != self.round || (self.ended > 0 && last != self.last) || self.ended >= self.lanes {
            let text = format!("a lane ended round {round} while round {} was under way", self.round);
            return Phase::Receiving(self).fail(context, Class::Protocol, &text);
        }
        if round > MAX_ROUNDS + 1 {
            let text = format!("more than {MAX_ROUNDS} rounds and a last one");
            return Phase::Receiving(self).fail(context, Class::Protocol, &text);
        }
        self.ended += 1;
        self.last = last;
        self.pages += pages;
        if self.ended < self.lanes {
            return Phase::Receiving(self);
        }
        context.rounds += 1;
        context.pages += self.pages;
        if self.last {
            return self.build(context);
        }
        context.send(TargetMessage::RoundDone { round, pages: self.pages });
        Phase::Receiving(Self { round: round + 1, ended: 0, pages: 0, ..self })
    }

    /// The state has come, before or after the last pages.
    fn state(mut self, context: &mut Context, sections: Vec<Section>) -> Phase {
        match Sections::checked(sections) {
            Ok(sections) => {
                self.state = Some(sections);
                self.build(context)
            }
            Err(error) => Phase::Receiving(self).fail(context, Class::Protocol, &error.to_string()),
        }
    }

    /// Builds the machine once both are there: the last page and the state.
    fn build(mut self, context: &mut Context) -> Phase {
        if !(self.last && self.ended == self.lanes) {
            return Phase::Receiving(self);
        }
        match self.state.take() {
            Some(sections) => {
                context.actions.push_back(Action::Build(sections));
                Phase::Building
            }
            None => Phase::Receiving(self),
        }
    }
}

fn greet(context: &mut Context, now: Time, hello: &Hello) -> Phase {
    let version = hello.newest.min(PROTOCOL.1);
    if version < hello.oldest.max(PROTOCOL.0) {
        let reason = format!(
            "the source ({}) speaks protocol versions {} to {}, this target ({SOFTWARE}) speaks {} to {}",
            clean_text(&hello.software),
            hello.oldest,
            hello.newest,
            PROTOCOL.0,
            PROTOCOL.1
        );
        return refuse(context, vec![reason]);
    }
    context.send(TargetMessage::Hello(HelloReply {
        version,
        capabilities: hello.capabilities & CAPABILITIES,
        software: SOFTWARE.into(),
    }));
    context.expect(now, ANSWER_TIMEOUT);
    Phase::Prepare(Session { session: hello.session })
}

/// What is wrong with a machine that a source names, whatever this host could make of it.
fn contradictions(prepare: &Prepare) -> Vec<String> {
    let lanes = prepare.lanes;
    let wrong_lanes =
        (lanes == 0 || lanes > MAX_LANES).then(|| format!("{lanes} lanes; 1 to {MAX_LANES} are possible"));
    [prepare.shape.check().err(), wrong_lanes].into_iter().flatten().collect()
}

/// Answers a source that only asks, with every reason at once, or that it would be taken.
fn answer(context: &mut Context, reasons: Vec<String>) -> Phase {
    context.send(if reasons.is_empty() { TargetMessage::Accepted } else { TargetMessage::Refused(reasons) });
    context.actions.push_back(Action::Answered);
    Phase::Done
}

/// Tells the source every reason at once.
fn refuse(context: &mut Context, reasons: Vec<String>) -> Phase {
    let text = format!("refused: {}", reasons.join("; "));
    context.send(TargetMessage::Refused(reasons));
    context.end("prepare", Class::Incompatible, &text)
}

/// After `Go`: the guest is ours. Whatever the link does, it runs, unless it cannot.
fn starting(context: &mut Context, event: Event) -> Phase {
    match event {
        Event::Started(Ok(cpu)) => {
            let cpu_us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
            context.send(TargetMessage::Running { cpu_us });
            let arrival = Arrival { rounds: context.rounds, pages: context.pages };
            context.actions.push_back(Action::Finish(Ok(arrival)));
            Phase::Done
        }
        Event::Started(Err(error)) => Phase::Starting.fail(context, Class::Local, &error.0),
        _ => Phase::Starting,
    }
}

impl Context {
    pub(super) fn send(&mut self, message: TargetMessage) {
        self.actions.push_back(Action::Send(message));
    }

    pub(super) fn expect(&mut self, now: Time, limit: Duration) {
        self.answer_due = Some(now.saturating_add(limit));
    }

    pub(super) fn due_never(&mut self) {
        self.answer_due = None;
    }

    pub(super) fn is_late(&self, now: Time) -> bool {
        self.answer_due.is_some_and(|due| now >= due)
    }

    pub(super) fn end(&mut self, phase: &str, class: Class, reason: &str) -> Phase {
        self.due_never();
        self.actions.push_back(Action::Discard);
        self.actions.push_back(Action::Finish(Err(MigrationError {
            class,
            phase: phase.into(),
            round: self.rounds,
            reason: reason.into(),
        })));
        Phase::Done
    }
}
