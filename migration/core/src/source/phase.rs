//! The phases of a source: one struct each, consumed by the step that leaves it.

use std::sync::Arc;

use super::{Action, Event, OnTimeout, Time, context::Context, handover::Handover};
use crate::{
    convergence::Verdict,
    error::{Class, MigrationError},
    limits::{
        ANSWER_TIMEOUT, BUILD_TIMEOUT, CAPABILITIES, DRAIN_TIMEOUT, LOOK_AGAIN, MAX_REASONS, PROTOCOL,
        SOFTWARE,
    },
    page::Plan,
    report::Outcome,
    wire::{Hello, LaneTotals, Prepare, SourceMessage, TargetMessage, clean_text},
};

/// Where a source is.
pub(super) enum Phase {
    /// `Hello` is out.
    Hello(HelloSent),
    /// `Prepare` is out.
    Prepare,
    /// Lanes are being connected.
    Lanes,
    /// Connected; the target has not yet seen all of them.
    Joining(Joining),
    /// Tracking is being started.
    Begin,
    /// The guest is watched before the first round: so many harvests are still to come.
    Watching(u32),
    /// One of these harvests is being taken.
    Looking(u32),
    /// The lanes are writing a round.
    Sending(Sending),
    /// Written; the target has not yet got all of it.
    Draining(Draining),
    /// Between rounds.
    Harvesting,
    /// The guest is being stopped.
    Pausing,
    /// It stands still; the last harvest.
    FinalHarvest,
    /// The last pages and the state are on their way; the target will say `Ready`.
    Final(Final),
    /// The right to run is given up, or about to be.
    HandedOver(Handover),
    /// Back to where it was.
    Undoing(MigrationError),
    /// Nothing more will happen.
    Done,
}

/// `Hello` is out since `at`.
pub(super) struct HelloSent {
    at: Time,
}

/// The lanes are connected since `at`.
pub(super) struct Joining {
    at: Time,
}

/// A round is with the lanes.
#[derive(Default)]
pub(super) struct Sending {
    /// Pages that the target has counted: its answer may overtake the lanes' own word.
    done: Option<u64>,
}

/// A round has been written.
pub(super) struct Draining {
    totals: LaneTotals,
    /// Since when.
    at: Time,
}

/// The stop-and-copy, as far as it has come.
#[derive(Default)]
pub(super) struct Final {
    sent: Option<LaneTotals>,
    state_sent: bool,
    /// When the target said `Ready`: it too may overtake the lanes' own word.
    ready: Option<Time>,
}

impl Phase {
    /// The first phase.
    pub(super) fn begin(context: &mut Context, now: Time) -> Self {
        context.send(SourceMessage::Hello(Hello {
            oldest: PROTOCOL.0,
            newest: PROTOCOL.1,
            capabilities: CAPABILITIES,
            session: context.config.session,
            replaces: context.config.replaces,
            software: SOFTWARE.into(),
        }));
        context.expect_answer(now, ANSWER_TIMEOUT);
        Self::Hello(HelloSent { at: now })
    }

    /// Name for people and reports.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Prepare => "prepare",
            Self::Lanes | Self::Joining(_) | Self::Begin => "setup",
            Self::Watching(_) | Self::Looking(_) => "watching",
            Self::Sending(_) | Self::Draining(_) | Self::Harvesting => "rounds",
            Self::Pausing | Self::FinalHarvest | Self::Final(_) => "final",
            Self::HandedOver(handover) => handover.name(),
            Self::Undoing(_) => "undo",
            Self::Done => "done",
        }
    }

    pub(super) fn can_cancel(&self) -> bool {
        !matches!(self, Self::HandedOver(_) | Self::Undoing(_) | Self::Done)
    }

    /// Whether the user's time-out ends this phase. A forced copy waits for the round to end; a stop-and-copy that
    /// has begun is let go on, because it is nearer to its end than to its beginning.
    pub(super) fn heeds_timeout(&self, on_timeout: OnTimeout) -> bool {
        let rounds = matches!(
            self,
            Self::Hello(_)
                | Self::Prepare
                | Self::Lanes
                | Self::Joining(_)
                | Self::Begin
                | Self::Watching(_)
                | Self::Looking(_)
                | Self::Sending(_)
                | Self::Draining(_)
                | Self::Harvesting
        );
        rounds && on_timeout == OnTimeout::Cancel
    }

    /// The next phase.
    pub(super) fn step(self, context: &mut Context, now: Time, event: Event) -> Self {
        match (self, event) {
            (phase, Event::Slowed(taken)) => {
                context.account.slowed = taken;
                phase
            }
            (Self::Undoing(error), event) => undoing(error, context, now, event),
            (Self::Done, _) => Self::Done,
            (Self::HandedOver(handover), event) => handover.step(context, now, event),
            (phase, Event::Tick) => phase.tick(context, now),
            (phase, Event::Message(TargetMessage::Beat)) => phase,
            (phase, Event::Cancel(why)) => phase.fail(context, why.class(), &why.to_string()),
            (phase, Event::LinkLost(reason)) => phase.fail(context, Class::Link, &reason),
            (phase, Event::HostFailed(error)) => phase.fail(context, Class::Local, &error.0),
            (phase, Event::ProtocolBroken(error)) => phase.fail(context, Class::Protocol, &error.to_string()),
            (phase, Event::Message(TargetMessage::Abort(reason))) => {
                phase.fail(context, Class::Peer, &format!("the target gave up: {}", clean_text(&reason)))
            }
            (phase, Event::Message(message)) => phase.message(context, now, message),
            (phase, Event::Free(pages)) => {
                context.free(pages);
                phase
            }
            (phase, event) => phase.done(context, now, event),
        }
    }

    /// What the target says, in the phases where it may.
    fn message(self, context: &mut Context, now: Time, message: TargetMessage) -> Self {
        match (self, message) {
            (phase @ (Self::Hello(_) | Self::Prepare), TargetMessage::Refused(reasons)) => {
                let reasons: Vec<_> = reasons.iter().take(MAX_REASONS).map(|r| clean_text(r)).collect();
                phase.fail(
                    context,
                    Class::Incompatible,
                    &format!("the target refuses: {}", reasons.join("; ")),
                )
            }
            (Self::Hello(hello), TargetMessage::Hello(reply)) => {
                if let Err(error) = reply.check() {
                    return Self::Hello(hello).fail(context, Class::Protocol, &error.0);
                }
                context.measured_round_trip(now.saturating_sub(hello.at));
                let prepare = Prepare { shape: context.config.shape.clone(), lanes: context.config.lanes };
                context.send(SourceMessage::Prepare(Box::new(prepare)));
                context.expect_answer(now, BUILD_TIMEOUT);
                Self::Prepare
            }
            (Self::Prepare, TargetMessage::Prepared) => {
                context.answered();
                context.act(Action::OpenLanes(context.config.lanes));
                Self::Lanes
            }
            (Self::Joining(joining), TargetMessage::LanesOpen) => {
                context.measured_round_trip(now.saturating_sub(joining.at));
                context.answered();
                context.act(Action::StartTracking(context.arming()));
                Self::Begin
            }
            (Self::Sending(Sending { done: None }), TargetMessage::RoundDone { round, pages })
                if round == context.account.rounds_begun() =>
            {
                Self::Sending(Sending { done: Some(pages) })
            }
            (Self::Draining(Draining { totals, at }), TargetMessage::RoundDone { round, pages })
                if round == context.account.rounds_begun() =>
            {
                context.measured_round_trip(now.saturating_sub(at));
                round_done(context, now, &totals, pages)
            }
            (Self::Final(Final { sent, state_sent: true, ready: None }), TargetMessage::Ready) => {
                Final { sent, state_sent: true, ready: Some(now) }.next(context)
            }
            (phase, message) => {
                let text = format!("the target said {} in phase {}", message.name(), phase.name());
                phase.fail(context, Class::Protocol, &text)
            }
        }
    }

    /// What the driver has done, in the phases that asked for it.
    fn done(self, context: &mut Context, now: Time, event: Event) -> Self {
        match (self, event) {
            (Self::Lanes, Event::LanesOpen) => {
                context.expect_answer(now, ANSWER_TIMEOUT);
                Self::Joining(Joining { at: now })
            }
            (Self::Begin, Event::Tracking(touched)) => {
                context.tracking(&touched);
                context.account.set_up = Some(now);
                context.account.harvested_at = now;
                watch(context, now, context.config.scheme.observe.harvests)
            }
            (Self::Looking(_), Event::Harvested(dirty)) if context.holds_back() => {
                context.harvested(now, dirty);
                // No round has been done since the rules were asked, and what is owed has not become less.
                if context.is_forced(now) { next_round(context, now) } else { round(context, now) }
            }
            (Self::Looking(left), Event::Harvested(dirty)) => {
                context.harvested(now, dirty);
                watch(context, now, left - 1)
            }
            (Self::Sending(Sending { done: Some(pages) }), Event::RoundSent(totals)) => {
                round_done(context, now, &totals, pages)
            }
            (Self::Sending(_), Event::RoundSent(totals)) => {
                context.expect_answer(now, DRAIN_TIMEOUT);
                Self::Draining(Draining { totals, at: now })
            }
            (Self::Harvesting, Event::Harvested(dirty)) => {
                context.account.harvest_took(now);
                context.harvested(now, dirty);
                next_round(context, now)
            }
            (Self::Pausing, Event::Paused) => {
                context.account.moments.paused = Some(now);
                context.act(Action::Harvest);
                Self::FinalHarvest
            }
            (Self::FinalHarvest, Event::Harvested(dirty)) => {
                context.harvested_last(now, &dirty);
                context.account.moments.harvested = Some(now);
                let plan = context.last_plan();
                send(context, now, plan, true);
                context.act(Action::Save);
                Self::Final(Final::default())
            }
            (Self::Final(phase), Event::RoundSent(totals)) => {
                context.expect_answer(now, BUILD_TIMEOUT + DRAIN_TIMEOUT);
                Final { sent: Some(totals), ..phase }.next(context)
            }
            (Self::Final(phase), Event::Saved(sections)) => {
                context.send(SourceMessage::State(sections.into()));
                Self::Final(Final { state_sent: true, ..phase })
            }
            (phase, event) => {
                let text = format!("the driver reported {event:?} in phase {}", phase.name());
                phase.fail(context, Class::Local, &text)
            }
        }
    }

    fn tick(self, context: &mut Context, now: Time) -> Self {
        if context.answer_is_late(now) {
            return self.fail(context, Class::Link, "the target has not answered in time");
        }
        if self.heeds_timeout(context.config.on_timeout) && context.has_timed_out(now) {
            let given = context.config.timeout.unwrap_or_default().as_secs_f64();
            let text = format!("the migration did not get there in the {given:.1} s it was given");
            return self.fail(context, Class::Timeout, &text);
        }
        match self {
            Self::Watching(left) if context.look_at.is_some_and(|at| now >= at) => {
                context.look_at = None;
                context.act(Action::Harvest);
                Self::Looking(left)
            }
            phase => phase,
        }
    }

    /// Gives up before `Go`: says so to the target, and goes back to where the guest was.
    pub(super) fn fail(self, context: &mut Context, class: Class, reason: &str) -> Self {
        context.answered();
        context.look_at = None;
        let error = MigrationError {
            class,
            phase: self.name().into(),
            round: context.account.rounds_begun(),
            reason: reason.into(),
        };
        // Also where the link counts as lost: a peer that is only slow reads why it was given up.
        if class != Class::Peer {
            context.send(SourceMessage::Abort(reason.into()));
        }
        context.act(Action::Undo);
        Self::Undoing(error)
    }
}

impl Final {
    /// Hands over once the lanes are done and the target is ready.
    fn next(self, context: &mut Context) -> Phase {
        let Final { sent: Some(totals), ready: Some(ready), .. } = self else { return Phase::Final(self) };
        context.account.round_ends(ready, &totals);
        context.account.moments.ready = Some(ready);
        Handover::begin(context)
    }
}

/// The target has all of the round: `arrived` pages, by its own count.
fn round_done(context: &mut Context, now: Time, totals: &LaneTotals, arrived: u64) -> Phase {
    if arrived != totals.pages {
        let text = format!("{} pages were sent in the round, the target counts {arrived}", totals.pages);
        return Phase::Harvesting.fail(context, Class::Protocol, &text);
    }
    context.answered();
    context.account.round_ends(now, totals);
    context.account.harvest_begins(now);
    context.act(Action::Harvest);
    Phase::Harvesting
}

/// Watches the guest for `left` more harvests, and then begins the rounds.
fn watch(context: &mut Context, now: Time, left: u32) -> Phase {
    if left == 0 {
        return next_round(context, now);
    }
    context.look_at = Some(now.saturating_add(context.config.scheme.observe.every));
    Phase::Watching(left)
}

/// Another round, or the stop-and-copy.
fn next_round(context: &mut Context, now: Time) -> Phase {
    match context.decide(now) {
        Verdict::Again => round(context, now),
        Verdict::Cancel(reason) => Phase::Harvesting.fail(context, Class::Timeout, &reason),
        Verdict::Final(reason) => stop(context, now, reason),
    }
}

/// Another round. Where the policy holds back all that is owed, the round would send nothing and so would the next one,
/// at once and for ever: the guest is given time in which pages may come clean, as often as that can help the policy,
/// and then pre-copy is over.
fn round(context: &mut Context, now: Time) -> Phase {
    if let Some(plan) = context.plan(now) {
        send(context, now, plan, false);
        return Phase::Sending(Sending::default());
    }
    if context.may_look_again() {
        context.look_at = Some(now.saturating_add(LOOK_AGAIN));
        return Phase::Watching(1);
    }
    context.will_stop(now);
    let reason = match context.owed_pages() {
        0 => "nothing is owed".into(),
        owed => format!("the policy holds back all that is owed: {owed} pages"),
    };
    stop(context, now, reason)
}

fn stop(context: &mut Context, now: Time, reason: String) -> Phase {
    context.account.stop_reason = Some(reason);
    context.account.moments.pause = Some(now);
    context.act(Action::Pause);
    Phase::Pausing
}

fn send(context: &mut Context, now: Time, plan: Plan, last: bool) {
    // The plan's pages are no longer owed.
    let planned = u64::from(plan.pages.count());
    context.account.round_begins(now, planned, context.owed_pages() + planned);
    let round = context.account.rounds_begun();
    context.act(Action::SendRound { round, plan: Arc::new(plan), last });
}

/// The guest is being put back to where it was.
fn undoing(mut error: MigrationError, context: &mut Context, now: Time, event: Event) -> Phase {
    let Event::Undone(result) = event else { return Phase::Undoing(error) };
    if let Err(undo) = result {
        error.reason += &format!("; and then: {undo}");
    }
    let outcome = if error.class == Class::Cancelled { Outcome::Cancelled } else { Outcome::Failed };
    let report = context.account.report(now, &context.config, outcome, Some(error));
    context.act(Action::Finish(Box::new(report)));
    Phase::Done
}
