//! What will happen, in order of virtual time; what falls on the same moment happens in the order it was put down.

use std::{collections::BTreeMap, time::Duration};

use godwit_migration::{source, target, wire::LaneTotals};

use crate::fault::{Side, Stream};

/// Something that happens.
pub(crate) enum Happening {
    /// The source's driver has finished with an action that took time.
    SourceDid(source::Action),
    /// The target's driver has.
    TargetDid(target::Action),
    /// A sending lane goes on.
    LaneSteps(u8),
    /// A sending lane's word that its part of the round is written.
    LaneWord(LaneTotals),
    /// Something comes out of the link.
    Arrives(Stream, Parcel),
    /// A side finds that the link is gone.
    Loses(Side),
    /// Somebody cancels on a side.
    Cancels(Side),
    /// The link is cut.
    Cut(Cut),
}

/// What comes out of the link.
pub(crate) enum Parcel {
    /// Bytes of the stream.
    Bytes(Vec<u8>),
    /// So many lanes, connected.
    Lanes(u8),
    /// The other side has closed the stream.
    Closed,
}

/// How a link is cut.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) in_flight_arrives: bool,
    pub(crate) source_notices: Duration,
    pub(crate) target_notices: Duration,
}

/// The virtual clock's diary.
pub(crate) struct Agenda<T = Happening> {
    entries: BTreeMap<(Duration, u64), T>,
    next: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), next: 0 }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn add(&mut self, at: Duration, happening: T) {
        self.entries.insert((at, self.next), happening);
        self.next += 1;
    }

    /// When the next thing happens.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Duration, T)> {
        self.entries.pop_first().map(|((at, _), happening)| (at, happening))
    }
}

impl Agenda {
    /// Nothing that is on its way arrives.
    pub(crate) fn lose_arrivals(&mut self) {
        self.entries.retain(|_, happening| !matches!(happening, Happening::Arrives(..)));
    }
}
