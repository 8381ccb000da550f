//! The source of a migration, without I/O: events in, actions out, time as a number.
//!
//! ```text
//! Hello → Prepare → Lanes → Joining → Begin → ( Watching → Looking )* → ( Sending → Draining → Harvesting )*
//!       → Pausing → FinalHarvest → Final → GivingUp → Gone → ( Asking → ( Resting | Gone ) )* → Done
//! any phase before Gone → Undoing → Done; Gone and Asking too, on the target's word that it will never run the guest
//! ```
//! Each phase is a struct in [`phase`], consumed by the step that leaves it. Whoever drives the machine carries out
//! the actions in order and reports back; the same machine runs under the real driver and in the lab.
//!
//! The hand-over, told once: the target answers `Ready` only when everything is loaded and checked. Then the source
//! *gives up its right to run* ([`Action::GiveUp`]) and only when that is done and on record ([`Event::GivenUp`]) says
//! `Go`. Until then it can take the right back by itself. From there on the source cannot resume by itself: if no answer
//! comes it connects anew and asks, and if that leads nowhere the outcome is unknown, and the guest stays paused here with
//! all it has.

mod account;
mod context;
mod costs;
mod handover;
mod phase;

#[cfg(test)]
mod source_test;

use std::{sync::Arc, time::Duration};

use godwit_state::Sections;
use serde::{Deserialize, Serialize};

use self::{context::Context, phase::Phase};
use crate::{
    arming::Arming,
    cancellation::Cancellation,
    convergence::ladder::Escalation,
    error::ProtocolError,
    host::HostError,
    page::{PageSet, Plan},
    preset::Scheme,
    report::{Progress, Report},
    shape::MachineShape,
    slow::Throttle,
    wire::{LaneTotals, SourceMessage, TargetMessage},
};

/// A moment, as time since an origin that the driver chose.
pub type Time = Duration;

/// What to do when pre-copy has not got there in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// The session of the last attempt to move this guest from here; 0 for none.
    pub replaces: u128,
    /// The scheme.
    pub scheme: Scheme,
    /// Number of lanes.
    pub lanes: u8,
    /// Downtime that the user allows.
    pub downtime: Duration,
    /// How long pre-copy may take.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// Bandwidth cap of all lanes together, bytes/s. Whoever drives the lanes keeps it; the machine predicts with it.
    pub bandwidth_cap: Option<u64>,
    /// What is tried when pre-copy makes no progress.
    pub escalate: Escalation,
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
    /// These pages are free, as [`FreePages`](crate::host::FreePages) means it; told just before [`Event::Tracking`] or
    /// [`Event::Harvested`], and taken before that harvest.
    Free(PageSet),
    /// A harvest.
    Harvested(PageSet),
    /// So much of their time has been taken from the vCPUs, all together, since the migration began. Told before a
    /// harvest, a pause and an end, where the guest is slowed.
    Slowed(Duration),
    /// The lanes have written the whole round, its end included.
    RoundSent(LaneTotals),
    /// The guest stands still.
    Paused,
    /// The state of everything but memory.
    Saved(Sections),
    /// [`Action::GiveUp`] is done: the right to run is gone from here, and that is on record.
    GivenUp,
    /// [`Action::Undo`] is done, or what of it failed.
    Undone(Result<(), HostError>),
    /// The target broke the protocol.
    ProtocolBroken(ProtocolError),
    /// The control link or a lane is gone, in words.
    LinkLost(String),
    /// This host failed.
    HostFailed(HostError),
    /// The bandwidth cap is another one from here on.
    BandwidthCap(Option<u64>),
    /// Somebody here wants it to end, or the guest has ended.
    Cancel(Cancellation),
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
    /// Start tracking, then read which pages were ever touched; then [`Event::Tracking`]. A host may arm at once what it was
    /// to arm as it is sent.
    StartTracking(Arming),
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
    /// Slow the guest down from here on, or let it go.
    Throttle(Throttle),
    /// Stop the guest; then [`Event::Paused`].
    Pause,
    /// Save everything but memory; then [`Event::Saved`].
    Save,
    /// Put on record that the right to run this guest is given up, and give it up; then [`Event::GivenUp`]. Where the
    /// record cannot be written the right stays: [`Event::HostFailed`].
    GiveUp,
    /// The target will never run the guest, by its own word or because `Go` has not left: the right to run is here
    /// again.
    TakeBack,
    /// Connect to the target anew and say `Ask`, in place of the link that was; the answer comes as a message, and where
    /// the target cannot be reached, [`Event::LinkLost`].
    Ask,
    /// Stop the lanes and tracking, let the guest run on if it was paused, and at full speed; then [`Event::Undone`].
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
        if let Event::BandwidthCap(cap) = event {
            self.context.config.bandwidth_cap = cap;
            return;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        self.phase = phase.step(&mut self.context, now, event);
    }

    /// The guest is being stopped from `now` on. The decision is a harvest older: to take that in takes a millisecond for every
    /// few GiB, and the guest runs meanwhile.
    pub fn stops_guest(&mut self, now: Time) {
        self.context.account.moments.pause = Some(now);
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

    /// Whether a cancellation would still stop it, and the peer is still to hear signs of life: before the hand-over.
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
