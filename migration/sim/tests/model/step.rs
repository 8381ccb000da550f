//! What can happen, in words for a trace.

use std::fmt;

use super::{
    messages::{Messages, Word},
    source, target,
};

/// Something that happens.
#[derive(Clone, Copy)]
pub enum Step {
    /// The source's host does what its machine wants.
    SourceDoes(source::Wants),
    /// The source's host fails at it, or the link does.
    SourceFailsAt(source::Wants),
    /// The source's machine is told something.
    SourceHears(source::Told),
    /// A lane of the source arms what is next, or all that is left.
    LaneArms(u8),
    /// A lane of the source sends what is next.
    LaneSends(u8),
    /// A target's host does what its machine wants.
    TargetDoes(u8, target::Wants),
    /// A target's host fails at it, or the link does.
    TargetFailsAt(u8, target::Wants),
    /// A target's machine is told something.
    TargetHears(u8, target::Told),
    /// A target takes the next frame of a lane.
    LaneBrings(u8, u8),
    /// The guest writes a page.
    GuestWrites(u8),
    /// The control link is cut: so many messages on their way to the target and to the source arrive.
    CutControl { to_target: u8, to_source: u8, silent: bool },
    /// A lane is cut: so many frames on their way arrive.
    CutLane { lane: u8, keep: u8, silent: bool },
    /// Everything is cut.
    CutAll { in_flight_arrives: bool, silent: bool },
    /// The source's process ends.
    SourceCrashes { in_flight_arrives: bool, silent: bool },
    /// A target's process ends.
    TargetCrashes { target: u8, in_flight_arrives: bool, silent: bool },
    /// The record answers a source's question.
    QuestionAnswered(u8),
    /// The source tries again, with another target, or the same, started anew.
    TriesAgain,
    /// The source tries again with the process that was the target before.
    TriesAgainThere,
    /// A target is in the middle of something, and turns another attempt away.
    TargetIsBusy(u8),
    /// A person decides at the source, which asks the target first where it can.
    Decides { keep: bool, asked: bool },
}

/// A step and the names of the messages in it.
pub struct Told<'a>(pub Step, pub &'a Messages);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(step, messages) = *self;
        let from_source = |word: Word| messages.source_name(word);
        let from_target = |word: Word| messages.target_name(word);
        let noticed = |silent: bool| if silent { "nobody notices" } else { "both sides notice" };
        match step {
            Step::SourceDoes(source::Wants::Say(word)) => write!(f, "source says {}", from_source(word)),
            Step::SourceDoes(wants) => write!(f, "source does {wants:?}"),
            Step::SourceFailsAt(source::Wants::Say(word)) => {
                write!(f, "source says {} into a link that is gone", from_source(word))
            }
            Step::SourceFailsAt(wants) => write!(f, "source fails at {wants:?}"),
            Step::SourceHears(source::Told::Message(word)) => write!(f, "source hears {}", from_target(word)),
            Step::SourceHears(told) => write!(f, "source hears: {told:?}"),
            Step::LaneArms(lane) => write!(f, "lane {lane} arms"),
            Step::LaneSends(lane) => write!(f, "lane {lane} sends"),
            Step::TargetDoes(t, target::Wants::Say(word)) => {
                write!(f, "target {t} says {}", from_target(word))
            }
            Step::TargetDoes(t, wants) => write!(f, "target {t} does {wants:?}"),
            Step::TargetFailsAt(t, target::Wants::Say(word)) => {
                write!(f, "target {t} says {} into a link that is gone", from_target(word))
            }
            Step::TargetFailsAt(t, wants) => write!(f, "target {t} fails at {wants:?}"),
            Step::TargetHears(t, target::Told::Message(word)) => {
                write!(f, "target {t} hears {}", from_source(word))
            }
            Step::TargetHears(t, told) => write!(f, "target {t} hears: {told:?}"),
            Step::LaneBrings(t, lane) => write!(f, "lane {lane} brings target {t} a frame"),
            Step::GuestWrites(page) => write!(f, "the guest writes page {page}"),
            Step::CutControl { to_target, to_source, silent } => write!(
                f,
                "control is cut; {to_target} messages still reach the target, {to_source} the source; {}",
                noticed(silent)
            ),
            Step::CutLane { lane, keep, silent } => {
                write!(f, "lane {lane} is cut; {keep} frames still arrive; {}", noticed(silent))
            }
            Step::CutAll { in_flight_arrives, silent } => {
                write!(
                    f,
                    "everything is cut; what is on its way arrives: {in_flight_arrives}; {}",
                    noticed(silent)
                )
            }
            Step::SourceCrashes { in_flight_arrives, silent } => {
                write!(f, "source crashes; what it sent arrives: {in_flight_arrives}; {}", noticed(silent))
            }
            Step::TargetCrashes { target, in_flight_arrives, silent } => {
                write!(
                    f,
                    "target {target} crashes; what it sent arrives: {in_flight_arrives}; {}",
                    noticed(silent)
                )
            }
            Step::QuestionAnswered(t) => write!(f, "the record of target {t} answers"),
            Step::TriesAgain => write!(f, "source tries again"),
            Step::TriesAgainThere => write!(f, "source tries again with the same process"),
            Step::TargetIsBusy(t) => write!(f, "the process of target {t} turns another attempt away"),
            Step::Decides { keep, asked } => {
                let what = if keep { "keep the guest" } else { "discard it" };
                let how = if asked { "asks the target" } else { "cannot ask" };
                write!(f, "a person at the source wants to {what}; the source {how}")
            }
        }
    }
}
