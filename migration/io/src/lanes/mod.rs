//! Lanes: plain threads on blocking sockets, which do nothing but move pages.

mod receiving;
mod sending;

pub(crate) use receiving::ReceivingLanes;
pub(crate) use sending::{LaneWord, SendingLanes};

/// Stack of a lane: it calls no deeper than a codec.
const STACK_BYTES: usize = 256 << 10;
