//! A frame of raw pages that goes straight to where they belong.
//!
//! Its checksum can be looked at only when all of it is there, in the memory of the guest-to-be: nobody reads that before
//! the last round has ended without an error, and a wrong checksum is one. The pages are this lane's and no other's.

use std::sync::atomic::AtomicU8;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, Sum};
use crate::{codec, error::LaneError, host::PageSink, limits::PAGE_BYTES};

/// A frame that is being placed.
pub(super) struct Placing {
    pub(super) header: FrameHeader,
    raw: [u8; FRAME_HEADER_BYTES],
    placed: usize,
}

impl Placing {
    /// Begins with a header, as it is read and as it came; nothing where the payload is not pages as they are, or they
    /// are not one piece of memory.
    pub(super) fn begin(
        header: FrameHeader,
        raw: [u8; FRAME_HEADER_BYTES],
        sink: &dyn PageSink,
    ) -> Option<Self> {
        let placing = Self { header, raw, placed: 0 };
        (header.kind == FrameKind::Pages && header.codec == codec::RAW && placing.rest(sink).is_some())
            .then_some(placing)
    }

    /// The memory that what is still to come belongs into.
    pub(super) fn rest<'a>(&self, sink: &'a dyn PageSink) -> Option<&'a [AtomicU8]> {
        let place = sink.place(self.header.first..self.header.first + self.header.count)?;
        place.get(self.placed..)
    }

    /// Of `bytes` that came, those of this frame are placed; how many came behind it.
    pub(super) fn filled(&mut self, bytes: usize) -> usize {
        let placed = bytes.min(self.header.bytes as usize - self.placed);
        self.placed += placed;
        bytes - placed
    }

    /// Whether all of it has come.
    pub(super) fn is_whole(&self) -> bool {
        self.placed == self.header.bytes as usize
    }

    /// Checks the checksum of the whole frame and returns it.
    ///
    /// # Errors
    /// A wrong checksum; or the sink cannot say what it holds.
    pub(super) fn verify(&self, sink: &dyn PageSink) -> Result<u32, LaneError> {
        let mut sum = Sum::of(&self.raw);
        let mut page = [0; PAGE_BYTES];
        for number in self.header.first..self.header.first + self.header.count {
            sink.get(number, &mut page)?;
            sum.add(&page);
        }
        Ok(sum.verify(&self.raw)?)
    }
}
