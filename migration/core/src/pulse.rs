//! Whether the peer lives, without I/O: what a driver keeps beside its machine from the first answer on.
//!
//! Each side says `Beat` every [`BEAT_EVERY`], whatever else it does. A peer lives in a beat in which it said anything
//! whole on the control link, or moved [`LIVE_LANE_BYTES`] or more on the lanes: a slow link moves pages where words
//! wait behind them. After [`MISSED_BEATS`] beats in a row without either it is silent, and the link counts as lost.
//!
//! Beats are counted, not seconds: a driver that was itself stopped for a minute has missed one beat, and looks again
//! before it judges. Bytes that do not make a whole message are no life, so one byte a second is silence.

use std::time::Duration;

use crate::{
    limits::{BEAT_EVERY, LIVE_LANE_BYTES, MISSED_BEATS},
    source::Time,
};

/// The pulse of a peer.
#[derive(Debug)]
pub struct Pulse {
    /// When the next beat is due.
    due: Time,
    /// Beats in a row in which the peer did not live.
    missed: u32,
    /// Whether it said something since the last.
    heard: bool,
    /// What the lanes had moved at the last sign of life on them.
    lane_bytes: u64,
}

impl Pulse {
    /// The peer lived at `now`.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self { due: now.saturating_add(BEAT_EVERY), missed: 0, heard: false, lane_bytes: 0 }
    }

    /// The peer has said something whole.
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// When [`beat`](Self::beat) is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Time {
        self.due
    }

    /// A beat, with the bytes that the lanes have moved so far: it is time to say `Beat`, unless the peer has been
    /// silent for too long, which is for how long.
    ///
    /// # Errors
    /// For how long it has been silent.
    pub fn beat(&mut self, now: Time, lane_bytes: u64) -> Result<(), Duration> {
        self.due = now.saturating_add(BEAT_EVERY);
        let lanes_move = lane_bytes.saturating_sub(self.lane_bytes) >= LIVE_LANE_BYTES;
        if lanes_move {
            self.lane_bytes = lane_bytes;
        }
        let lives = std::mem::take(&mut self.heard) | lanes_move;
        self.missed = if lives { 0 } else { self.missed + 1 };
        if self.missed >= MISSED_BEATS { Err(BEAT_EVERY * self.missed) } else { Ok(()) }
    }
}
