//! Why somebody here ends a migration that is not over. It is told to the peer and stands in the report, in its own
//! words: a guest that powered itself off was not cancelled by anyone.

use std::fmt;

use crate::error::Class;

/// Why a migration is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// A user asked for it.
    Request,
    /// A user pressed Ctrl-C where the migration is followed.
    Interrupt,
    /// The guest that was to move is no more, in words: powered off, rebooted, crashed.
    GuestEnded(String),
    /// The process ends, in words.
    ProcessEnds(String),
}

impl Cancellation {
    /// The class of the failure.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Request | Self::Interrupt | Self::ProcessEnds(_) => Class::Cancelled,
            Self::GuestEnded(_) => Class::Guest,
        }
    }

    /// Whether nothing comes after it here: who waits for guests, one after the other, waits no longer.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::GuestEnded(_) | Self::ProcessEnds(_))
    }
}

impl fmt::Display for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => write!(f, "cancelled on request"),
            Self::Interrupt => write!(f, "cancelled by Ctrl-C"),
            Self::GuestEnded(how) => write!(f, "the guest ended before it had moved: {how}"),
            Self::ProcessEnds(why) => write!(f, "given up because the process ends: {why}"),
        }
    }
}
