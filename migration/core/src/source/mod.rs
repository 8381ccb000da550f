//! The source of a migration, without I/O: events in, actions out, time as a number.
//!
//! ```text
//! Hello → Prepare → Lanes → Joining → Begin → ( Sending → Draining → Harvesting )*
//!       → Pausing → FinalHarvest → Final → HandedOver → Done
//! any phase before HandedOver → Undoing → Done
//! ```
//! Each phase is a struct in [`phase`], consumed by the step that leaves it. Whoever drives the machine carries out
//! the actions in order and reports back; the same machine runs under the real driver and in the lab.
//!
//! The hand-over, told once: the target answers `Ready` only when everything is loaded and checked. Then the source
//! *gives up its right to run* ([`Action::GiveUp`]) and only after that says `Go`. From there on the source cannot
//! resume by itself: if no answer comes the outcome is unknown, and the guest stays paused here with all it has.

mod account;
mod context;
mod phase;

#[cfg(test)]
mod source_test;

use std::{sync::Arc, time::Duration};

use godwit_state::Sections;

use self::{context::Context, phase::Phase};
use crate::{
    error::ProtocolError,
    host::HostError,
    page::{PageSet, Plan},
    preset::Preset,
    report::{Progress, Report},
    shape::MachineShape,
    wire::{LaneTotals, SourceMessage, TargetMessage},
};

/// A moment, as time since an origin that the driver chose.
pub type Time = Duration;

/// What to do when pre-copy has not got there in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// Give up; the guest goes on here.
    Cancel,
    /// Stop and copy, whatever the downtime.
    Force,
}

/// What the user asked for, and what will move.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Random name of this migration.
    pub session: u128,
    /// The scheme.
    pub preset: &'static Preset,
    /// Number of lanes.
    pub lanes: u8,
    /// Downtime that the user allows.
    pub downtime: Duration,
    /// How long pre-copy may take.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// Name of the dirty tracking, for the report.
    pub tracking: String,
    /// The machine.
    pub shape: MachineShape,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The target said something.
    Message(TargetMessage),
    /// All lanes are connected.
    LanesOpen,
    /// Tracking runs; these pages may have been written before.
    Tracking(PageSet),
    /// A harvest.
    Harvested(PageSet),
    /// The lanes have written the whole round, its end included.
    RoundSent(LaneTotals),
    /// The guest stands still.
    Paused,
    /// The state of everything but memory.
    Saved(Sections),
    /// [`Action::Undo`] is done, or what of it failed.
    Undone(Result<(), HostError>),
    /// The target broke the protocol.
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
    /// Tell the target.
    Send(SourceMessage),
    /// Connect so many lanes; then [`Event::LanesOpen`].
    OpenLanes(u8),
    /// Start tracking, then read which pages were ever touched; then [`Event::Tracking`].
    StartTracking,
    /// Harvest; then [`Event::Harvested`].
    Harvest,
    /// Give the round to the lanes and go on; when they are done, [`Event::RoundSent`].
    SendRound {
        /// The round, from 1.
        round: u32,
        /// What to send.
        plan: Arc<Plan>,
        /// Whether it is the stop-and-copy.
        last: bool,
    },
    /// Stop the guest; then [`Event::Paused`].
    Pause,
    /// Save everything but memory; then [`Event::Saved`].
    Save,
    /// Give up the right to run this guest, for good.
    GiveUp,
    /// The target will never run the guest and says so: the right to run is here again.
    TakeBack,
    /// Stop the lanes and tracking, and let the guest run on if it was paused; then [`Event::Undone`].
    Undo,
    /// It is over.
    Finish(Box<Report>),
}

/// The source's state machine.
pub struct Source {
    context: Context,
    phase: Phase,
}

impl Source {
    /// Begins at `now`; the first actions are waiting.
    #[must_use]
    pub fn new(now: Time, config: SourceConfig) -> Self {
        let mut context = Context::new(now, config);
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
        self.context.deadline(&self.phase)
    }

    /// Whether a cancellation would still be heard: before `Go`.
    #[must_use]
    pub fn can_cancel(&self) -> bool {
        self.phase.can_cancel()
    }

    /// Where it stands. `sent_pages` is what the lanes have sent of the current round.
    #[must_use]
    pub fn progress(&self, now: Time, sent_pages: u64) -> Progress {
        self.context.progress(now, self.phase.name(), sent_pages)
    }
}
