//! What goes wrong in a run, and when.

use std::time::Duration;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the guest comes from.
    Source,
    /// Where it goes.
    Target,
}

/// A stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Control messages of the source.
    ToTarget,
    /// Control messages of the target.
    ToSource,
    /// Frames on a lane.
    Lane(u8),
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long after the beginning.
    Time(Duration),
    /// Just before the step of that number, from 0: see [`Run::steps`](crate::Run::steps).
    Step(u64),
}

/// What the host of a side fails at, when it is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Starting to track.
    StartTracking,
    /// Any harvest.
    Harvest,
    /// Stopping the guest.
    Pause,
    /// Saving its state.
    Save,
    /// Letting it run on after a failure.
    Resume,
    /// Loading the state at the target.
    Build,
    /// Letting it run at the target.
    Run,
}

/// A thing that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The link is lost. What is on its way then arrives or not.
    Cut {
        /// When it is lost.
        when: When,
        /// Whether what is on its way still arrives.
        in_flight_arrives: bool,
        /// How much later the source notices.
        source_notices: Duration,
        /// How much later the target notices.
        target_notices: Duration,
    },
    /// The stream, and with it the link, ends before its byte of that number, from 0; both notice when it would have come.
    Truncate {
        /// The stream.
        stream: Stream,
        /// The byte.
        byte: u64,
    },
    /// A bit arrives inverted.
    Flip {
        /// The stream.
        stream: Stream,
        /// The byte, from 0.
        byte: u64,
        /// The bit, from 0.
        bit: u8,
    },
    /// Somebody cancels.
    Cancel {
        /// When.
        when: When,
        /// On which side.
        side: Side,
    },
    /// The target cannot take the machine, for these reasons.
    Refuse(Vec<String>),
    /// A host fails at something.
    Fail(Task),
}
