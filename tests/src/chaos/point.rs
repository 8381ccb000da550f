//! The steps of the protocol at which something can be injected, by name.
//!
//! A step is the passing of one message of the control link, or of one frame of a lane; under TLS, of one record.

use godwit_migration::wire::FrameKind;

use super::{case::Injection, units::What};

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The process that has the guest.
    Source,
    /// The process that is to get it.
    Target,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A message on the control link, by the name that the wire module gives it.
    Said(Side, &'static str),
    /// A lane introduces itself.
    LaneHello,
    /// The first frame of the first round.
    FirstFrame,
    /// A frame in the middle of the first round.
    MidRound,
    /// The end of the first round, on one lane.
    RoundEnd,
    /// The first frame of a round after the first.
    NextRound,
    /// The end of the last round, on one lane.
    LastRoundEnd,
    /// The first record of TLS of a side on the control link.
    SealedHello(Side),
    /// One of the records that a side sends on the control link after its first.
    SealedWord(Side),
    /// The first record of TLS on a lane.
    SealedLaneHello,
    /// A record on a lane in the middle of the first round.
    SealedFrames,
}

/// All steps in the order in which they come, and their names.
pub const POINTS: [(&str, Point); 16] = [
    ("hello", Point::Said(Side::Source, "Hello")),
    ("hello-reply", Point::Said(Side::Target, "Hello")),
    ("prepare", Point::Said(Side::Source, "Prepare")),
    ("prepared", Point::Said(Side::Target, "Prepared")),
    ("lane-hello", Point::LaneHello),
    ("lanes-open", Point::Said(Side::Target, "LanesOpen")),
    ("first-frame", Point::FirstFrame),
    ("mid-round", Point::MidRound),
    ("round-end", Point::RoundEnd),
    ("round-done", Point::Said(Side::Target, "RoundDone")),
    ("next-round", Point::NextRound),
    ("last-round-end", Point::LastRoundEnd),
    ("state", Point::Said(Side::Source, "State")),
    ("ready", Point::Said(Side::Target, "Ready")),
    ("go", Point::Said(Side::Source, "Go")),
    ("running", Point::Said(Side::Target, "Running")),
];

/// The steps of a migration by TLS, of which only the records can be told apart.
pub const SEALED_POINTS: [(&str, Point); 6] = [
    ("tls-hello", Point::SealedHello(Side::Source)),
    ("tls-hello-reply", Point::SealedHello(Side::Target)),
    ("tls-word", Point::SealedWord(Side::Source)),
    ("tls-reply", Point::SealedWord(Side::Target)),
    ("tls-lane-hello", Point::SealedLaneHello),
    ("tls-frames", Point::SealedFrames),
];

/// Where a unit is met.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Who sends it.
    pub side: Side,
    /// The number of its connection, from 0.
    pub link: usize,
    /// Bytes that have passed on lanes.
    pub lane_bytes: usize,
}

impl Point {
    /// Where it is in [`POINTS`].
    fn place(self) -> usize {
        POINTS.iter().position(|(_, point)| *point == self).unwrap_or(POINTS.len())
    }

    /// Whether it is a step of a migration by TLS.
    #[must_use]
    pub fn is_sealed(self) -> bool {
        SEALED_POINTS.iter().any(|(_, point)| *point == self)
    }

    /// Whether lanes are there when it comes.
    #[must_use]
    pub fn has_lanes(self) -> bool {
        match self {
            Self::SealedHello(_) | Self::SealedWord(_) => false,
            Self::SealedLaneHello | Self::SealedFrames => true,
            _ => self.place() >= Self::LaneHello.place(),
        }
    }

    /// Whether the source may have given up its right to run when it comes.
    #[must_use]
    pub fn is_handed_over(self) -> bool {
        match self {
            Self::SealedWord(_) => true,
            _ if self.is_sealed() => false,
            _ => self.place() >= Self::Said(Side::Source, "Go").place(),
        }
    }

    /// Whether it comes only where there is a round before the last.
    #[must_use]
    pub fn wants_rounds(self) -> bool {
        matches!(self, Self::NextRound | Self::Said(Side::Target, "RoundDone"))
    }

    /// Whether a unit that is met at `place` is this step of `injection`.
    #[must_use]
    pub fn is(self, what: &What, place: Place, at: &Injection) -> bool {
        let control = place.link == 0;
        match (self, what) {
            (Self::Said(by, name), What::Message(said)) => by == place.side && name == *said,
            (Self::LaneHello, What::LaneHello(number)) => *number == at.lane,
            (Self::FirstFrame, What::Frame(_, _)) => true,
            (Self::MidRound, What::Frame(_, round)) => *round == 1 && place.lane_bytes >= at.middle_bytes,
            (Self::RoundEnd, What::Frame(Some(FrameKind::RoundEnd | FrameKind::LastRoundEnd), _)) => true,
            (Self::NextRound, What::Frame(_, round)) => *round > 1,
            (Self::LastRoundEnd, What::Frame(Some(FrameKind::LastRoundEnd), _)) => true,
            (Self::SealedHello(by), What::Record(0)) => by == place.side && control,
            (Self::SealedWord(by), What::Record(number)) => {
                by == place.side && control && *number == at.record
            }
            (Self::SealedLaneHello, What::Record(0)) => place.side == Side::Source && !control,
            (Self::SealedFrames, What::Record(_)) => {
                place.side == Side::Source && !control && place.lane_bytes >= at.middle_bytes
            }
            _ => false,
        }
    }
}
