//! The target of a migration, without I/O: events in, actions out.
//!
//! `Hello → Prepare → Preparing → Receiving → Building → Ready → Starting → Done`, and `Done` from each by a failure. A
//! target that is ready and loses its link stays so for a while: its source may have said `Go`, and comes back to ask.
//! A source that only checks gets its answer: `Hello → Prepare → Checking → Done`.
//! The target runs the guest only after `Go`, and answers `Ready` only when nothing is left that could fail.

mod phase;
mod ready;

#[cfg(test)]
mod target_test;

use std::{collections::VecDeque, time::Duration};

use godwit_state::Sections;

use self::phase::Phase;
use crate::{
    cancellation::Cancellation,
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
    /// The source has connected anew and asks what became of its guest. What it says from here on, and what is said to
    /// it, goes over this link.
    Asked,
    /// The source has begun another attempt to move the same guest, which this one must not get in the way of.
    Replaced,
    /// A person here decides that a guest of which no `Go` was heard runs here (`true`), or never will.
    Decided(bool),
    /// [`Action::Prepare`] is done: the machine is there, its memory empty; or every reason why it cannot be.
    Prepared(Result<(), Vec<String>>),
    /// [`Action::Check`] is done: every reason why such a machine cannot be; none where it can.
    Checked(Vec<String>),
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
    Cancel(Cancellation),
    /// Time has passed.
    Tick,
}

/// What to do, in order.
#[derive(Debug)]
pub enum Action {
    /// Tell the source.
    Send(TargetMessage),
    /// Check the shape and make such a machine; then [`Event::Prepared`].
    Prepare {
        /// The session, to put on record that this host has begun it: a process that is started again knows by it that
        /// the guest has never run here.
        session: u128,
        /// The machine.
        shape: Box<MachineShape>,
    },
    /// Check the shape, and make nothing; then [`Event::Checked`].
    Check(Box<MachineShape>),
    /// Take so many lanes in for this session; then [`Event::LanesOpen`].
    AcceptLanes {
        /// The session that the lanes must name.
        session: u128,
        /// How many.
        lanes: u8,
    },
    /// Load the state; then [`Event::Built`].
    Build(Sections),
    /// Put on record that the guest runs here from now on, and only then let it run; then [`Event::Started`]. Where the
    /// record cannot be written the guest does not run.
    Run,
    /// Throw the machine away, which never ran, and put on record that it never will.
    Discard,
    /// The source only asked, and has its answer: nothing was made, and nothing is left to do.
    Answered,
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

    /// Whether the guest is ready here and nobody has said what shall become of it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready(_))
    }

    /// Whether such a guest's source is out of reach, as far as this side knows.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.phase.name() == "waiting"
    }

    /// Name of the phase, for people.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        self.phase.name()
    }
}
