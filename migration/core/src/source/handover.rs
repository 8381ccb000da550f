//! The hand-over at the source: from the moment in which the right to run is given up until it is known who has it.
//!
//! `GivingUp → Gone → Done` when all goes well. Behind a link that is lost, or silent, the source asks: `Gone → Asking ⇄
//! Resting`, and back to `Gone` where the target has not heard `Go`. It never runs the guest by itself again: only the
//! target's word that it never will brings the right back. When asking leads nowhere in [`ASK_FOR`], the outcome is
//! unknown, and a person decides.

use std::time::Duration;

use super::{Action, Event, Time, context::Context, phase::Phase};
use crate::{
    error::{Class, MigrationError},
    limits::{ANSWER_TIMEOUT, ASK_AGAIN, ASK_FOR},
    report::Outcome,
    wire::{Answer, SourceMessage, TargetMessage, clean_text},
};

/// How far the hand-over has come.
pub(super) enum Handover {
    /// The right to run is being given up, and that is put on record.
    GivingUp,
    /// `Go` is out: the target has the right to run.
    Gone(Option<Lost>),
    /// The target is being asked.
    Asking(Lost),
    /// Soon it is asked again.
    Resting(Lost),
}

/// A link that was lost after `Go`.
pub(super) struct Lost {
    since: Time,
    /// What happened, and then what the last question met with.
    why: String,
    /// How long to wait before the next question.
    rest: Duration,
}

impl Handover {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::GivingUp | Self::Gone(_) => "handover",
            Self::Asking(_) | Self::Resting(_) => "asking",
        }
    }

    pub(super) fn begin(context: &mut Context) -> Phase {
        context.answered();
        context.act(Action::GiveUp);
        Phase::HandedOver(Self::GivingUp)
    }

    /// The next phase.
    pub(super) fn step(self, context: &mut Context, now: Time, event: Event) -> Phase {
        match (self, event) {
            (phase, Event::Message(TargetMessage::Beat)) => Phase::HandedOver(phase),
            (Self::GivingUp, event) => giving_up(context, now, event),
            (_, Event::Message(TargetMessage::Running { cpu_us })) => {
                context.account.target_cpu_s = Some(cpu_us as f64 / 1e6);
                completed(context, now)
            }
            (_, Event::Message(TargetMessage::Answer(Answer::Runs))) => completed(context, now),
            (
                phase,
                Event::Message(TargetMessage::Abort(reason) | TargetMessage::Answer(Answer::Never(reason))),
            ) => {
                let reason = format!("the target gave the guest back: {}", clean_text(&reason));
                phase.take_back(context, Class::Peer, &reason)
            }
            (Self::Asking(lost), Event::Message(TargetMessage::Answer(Answer::WaitsForGo))) => {
                go(context, now, Some(lost))
            }
            (
                Self::Asking(lost),
                Event::Message(TargetMessage::Answer(answer @ (Answer::Ended | Answer::Unknown))),
            ) => unknown(context, now, lost, &answer.words()),
            (Self::Asking(lost) | Self::Resting(lost), Event::Cancel(_)) => {
                unknown(context, now, lost, "asking was called off")
            }
            (Self::Gone(lost), Event::Message(message)) => {
                ask(context, now, lost, format!("the target said {}", message.name()))
            }
            (Self::Gone(lost), Event::ProtocolBroken(error)) => ask(context, now, lost, error.to_string()),
            (Self::Gone(lost), Event::LinkLost(reason)) => ask(context, now, lost, reason),
            (Self::Gone(lost), Event::Tick) if context.answer_is_late(now) => {
                ask(context, now, lost, "the target did not answer".into())
            }
            (Self::Asking(lost), Event::Message(TargetMessage::Refused(reasons))) => {
                let reasons: Vec<_> = reasons.iter().take(1).map(|reason| clean_text(reason)).collect();
                rest(context, now, lost, &format!("the target refused to answer: {}", reasons.join("; ")))
            }
            (Self::Asking(lost), Event::Message(message)) => {
                rest(context, now, lost, &format!("the target said {} when it was asked", message.name()))
            }
            (Self::Asking(lost), Event::ProtocolBroken(error)) => {
                rest(context, now, lost, &error.to_string())
            }
            (Self::Asking(lost), Event::LinkLost(reason)) => rest(context, now, lost, &reason),
            (Self::Asking(lost), Event::Tick) if context.answer_is_late(now) => {
                rest(context, now, lost, "the target did not answer")
            }
            (Self::Resting(lost), Event::Tick) if context.answer_is_late(now) => {
                context.act(Action::Ask);
                context.expect_answer(now, ANSWER_TIMEOUT);
                Phase::HandedOver(Self::Asking(lost))
            }
            // Too late to cancel; and what else the driver reports (lanes closing) no longer matters.
            (phase, _) => Phase::HandedOver(phase),
        }
    }

    /// The right to run is here again, and the guest goes on.
    fn take_back(self, context: &mut Context, class: Class, reason: &str) -> Phase {
        context.act(Action::TakeBack);
        Phase::HandedOver(self).fail(context, class, reason)
    }
}

/// As long as `Go` has not left, everything can still be undone.
fn giving_up(context: &mut Context, now: Time, event: Event) -> Phase {
    let (class, reason) = match event {
        Event::GivenUp => return go(context, now, None),
        Event::HostFailed(error) => (Class::Local, error.0),
        Event::Cancel(why) => (why.class(), why.to_string()),
        Event::LinkLost(reason) => (Class::Link, reason),
        Event::ProtocolBroken(error) => (Class::Protocol, error.to_string()),
        Event::Message(TargetMessage::Abort(reason)) => {
            (Class::Peer, format!("the target gave up: {}", clean_text(&reason)))
        }
        Event::Message(message) => {
            (Class::Protocol, format!("the target said {} in phase handover", message.name()))
        }
        _ => return Phase::HandedOver(Handover::GivingUp),
    };
    Handover::GivingUp.take_back(context, class, &reason)
}

fn go(context: &mut Context, now: Time, lost: Option<Lost>) -> Phase {
    context.send(SourceMessage::Go);
    context.expect_answer(now, ANSWER_TIMEOUT);
    Phase::HandedOver(Handover::Gone(lost))
}

/// The link is lost or silent behind `Go`: asks at once.
fn ask(context: &mut Context, now: Time, lost: Option<Lost>, why: String) -> Phase {
    let lost = match lost {
        None => Lost { since: now, why, rest: ASK_AGAIN.0 },
        Some(lost) => return rest(context, now, lost, &why),
    };
    context.act(Action::Ask);
    context.expect_answer(now, ANSWER_TIMEOUT);
    Phase::HandedOver(Handover::Asking(lost))
}

/// A question led nowhere: asks again in a while, or says that the outcome is unknown.
fn rest(context: &mut Context, now: Time, mut lost: Lost, what: &str) -> Phase {
    if now.saturating_sub(lost.since) >= ASK_FOR {
        return unknown(context, now, lost, what);
    }
    context.expect_answer(now, lost.rest);
    lost.rest = lost.rest.saturating_mul(2).min(ASK_AGAIN.1);
    Phase::HandedOver(Handover::Resting(lost))
}

fn completed(context: &mut Context, now: Time) -> Phase {
    context.account.moments.running = Some(now);
    let report = context.account.report(now, &context.config, Outcome::Completed, None);
    context.act(Action::Finish(Box::new(report)));
    Phase::Done
}

fn unknown(context: &mut Context, now: Time, lost: Lost, asked: &str) -> Phase {
    let reason = format!(
        "{} after the guest was handed over; asked what became of it: {asked}. It may be running at the target. It stays \
         paused here: keep it only when you know that the target does not run it",
        lost.why
    );
    let error = MigrationError {
        class: Class::Unknown,
        phase: "handover".into(),
        round: context.account.rounds_begun(),
        reason,
    };
    let report = context.account.report(now, &context.config, Outcome::Unknown, Some(error));
    context.act(Action::Finish(Box::new(report)));
    Phase::Done
}
