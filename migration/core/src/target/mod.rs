//! The target of a migration, without I/O: events in, actions out.
//!
//! `Hello → Prepare → Preparing → Receiving → Building → Ready → Starting → Done`, and `Done` from each by a failure.
//! The target runs the guest only after `Go`, and answers `Ready` only when nothing is left that could fail.

mod phase;

#[cfg(test)]
mod target_test;

use std::{collections::VecDeque, time::Duration};

use godwit_state::Sections;

use self::phase::Phase;
use crate::{
    error::{MigrationError, ProtocolError},
    host::HostError,
    shape::MachineShape,
    source::Time,
    wire::{LaneEvent, SourceMessage, TargetMessage},
};

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The source said something.
    Message(SourceMessage),
    /// [`Action::Prepare`] is done: the machine is there, its memory empty; or every reason why it cannot be.
    Prepared(Result<(), Vec<String>>),
    /// All lanes are connected.
    LanesOpen,
    /// A lane has something to say.
    Lane(LaneEvent),
    /// [`Action::Build`] is done.
    Built(Result<(), HostError>),
    /// [`Action::Run`] is done: the guest runs, after so much CPU time spent on the migration, or it never will.
    Started(Result<Duration, HostError>),
    /// The source broke the protocol.
    ProtocolBroken(ProtocolError),
    /// The control link or a lane is gone, in words.
    LinkLost(String),
    /// This host failed.
    HostFailed(HostError),
    /// Somebody here wants it to end.
    Cancel,
    /// Time has passed.
    Tick,
}

/// What to do, in order.
#[derive(Debug)]
pub enum Action {
    /// Tell the source.
    Send(TargetMessage),
    /// Check the shape and make such a machine; then [`Event::Prepared`].
    Prepare(Box<MachineShape>),
    /// Take so many lanes in for this session; then [`Event::LanesOpen`].
    AcceptLanes {
        /// The session that the lanes must name.
        session: u128,
        /// How many.
        lanes: u8,
    },
    /// Load the state; then [`Event::Built`].
    Build(Sections),
    /// Let the guest run; then [`Event::Started`].
    Run,
    /// Throw the machine away: it never ran.
    Discard,
    /// It is over.
    Finish(Result<Arrival, MigrationError>),
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Rounds, the last included.
    pub rounds: u32,
    /// Pages, copies included.
    pub pages: u64,
}

/// What all phases share.
struct Context {
    actions: VecDeque<Action>,
    answer_due: Option<Time>,
    rounds: u32,
    pages: u64,
}

/// The target's state machine.
pub struct Target {
    context: Context,
    phase: Phase,
}

impl Target {
    /// Waits for a source's `Hello`, at `now`.
    #[must_use]
    pub fn new(now: Time) -> Self {
        let mut context = Context { actions: VecDeque::new(), answer_due: None, rounds: 0, pages: 0 };
        let phase = Phase::begin(&mut context, now);
        Self { context, phase }
    }

    /// Takes an event in.
    pub fn handle(&mut self, now: Time, event: Event) {
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        self.phase = phase.step(&mut self.context, now, event);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.context.actions.pop_front()
    }

    /// When [`Event::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Time> {
        self.context.answer_due
    }

    /// Name of the phase, for people.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        self.phase.name()
    }
}
