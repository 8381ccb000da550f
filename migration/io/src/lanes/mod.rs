//! Lanes: plain threads on blocking sockets, which do nothing but move pages.

mod log;
mod outlet;
mod pace;
mod receiving;
mod sending;
mod start;
mod two_marks;

#[cfg(test)]
mod pace_test;
#[cfg(test)]
mod two_marks_test;

pub(crate) use pace::Pace;
pub use pace::{MAX_BYTES_PER_S, MIN_BYTES_PER_S};
pub(crate) use receiving::ReceivingLanes;
pub(crate) use sending::{Guest, LaneWord, SendingLanes};
pub use start::on_lane_start;

/// Stack of a lane: it calls no deeper than a codec.
const STACK_BYTES: usize = 256 << 10;
