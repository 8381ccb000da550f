//! A guest that is ready to run, and of which nothing is known yet but that its source was told so.
//!
//! The source may have said `Go` into a link that was lost; then it comes back, asks, and says it again. Or it has taken
//! the guest back before it said `Go`; then it never comes back to this session. The target cannot know, and does not
//! guess: it never runs the guest by itself. It waits for [`HOLD_READY`], and then lets the guest go for good: a `Go` that
//! comes later is refused, and who asks is told that it never ran here.

use super::{Action, Context, Event, phase::Phase};
use crate::{
    error::Class,
    limits::HOLD_READY,
    source::Time,
    wire::{Answer, SourceMessage, TargetMessage, clean_text},
};

/// A guest that is ready.
pub(super) struct Ready {
    /// Whether there is a link to the source, as far as this side knows.
    linked: bool,
}

impl Ready {
    pub(super) fn begin(context: &mut Context, now: Time) -> Phase {
        context.expect(now, HOLD_READY);
        Phase::Ready(Self { linked: true })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.linked {
            true => "ready",
            false => "waiting",
        }
    }

    /// The next phase.
    pub(super) fn step(self, context: &mut Context, now: Time, event: Event) -> Phase {
        let (class, why) = match event {
            Event::Message(SourceMessage::Go) | Event::Decided(true) => {
                context.due_never();
                context.actions.push_back(Action::Run);
                return Phase::Starting;
            }
            Event::Message(SourceMessage::Beat) => return Phase::Ready(self),
            Event::Asked => {
                context.send(TargetMessage::Answer(Answer::WaitsForGo));
                context.expect(now, HOLD_READY);
                return Phase::Ready(Self { linked: true });
            }
            Event::LinkLost(_) => return Phase::Ready(Self { linked: false }),
            Event::Message(SourceMessage::Abort(reason)) => {
                (Class::Peer, format!("the source gave up: {}", clean_text(&reason)))
            }
            Event::Message(message) => {
                (Class::Protocol, format!("the source said {} in phase {}", message.name(), self.name()))
            }
            Event::ProtocolBroken(error) => (Class::Protocol, error.to_string()),
            Event::HostFailed(error) => (Class::Local, error.0),
            Event::Cancel(why) => (why.class(), why.to_string()),
            // No cancellation: the target waits on, for other sources and for this one's question.
            Event::Decided(false) => (Class::Link, "let go at the target, as somebody there decided".into()),
            Event::Replaced => (Class::Link, "the source has begun another attempt".into()),
            Event::Tick if context.is_late(now) => {
                (Class::Link, "the source has not said for too long what shall become of the guest".into())
            }
            Event::Tick => return Phase::Ready(self),
            event => (Class::Local, format!("the driver reported {event:?} in phase {}", self.name())),
        };
        // Said also to a source that gave up: one that has asked hears by it that the guest is its own again.
        context.send(TargetMessage::Abort(why.clone()));
        context.end(self.name(), class, &why)
    }
}
