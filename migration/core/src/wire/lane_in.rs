//! The receiving end of a lane: bytes in, pages out, nothing trusted.
//!
//! Memory is one buffer of a fixed size, whatever the peer says. A page reaches the sink only from a frame whose
//! checksum is right, whose place in the stream is right, and whose pages are this lane's.

use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::{
    codec::{self, CODECS, Codec},
    error::ProtocolError,
    host::{HostError, PageBytes, PageSink},
    limits::{BLOCK_PAGES, MAX_FRAME_BYTES, PAGE_BYTES},
    page::Plan,
};

const BUFFER_BYTES: usize = 256 << 10;
const _: () = assert!(BUFFER_BYTES > 2 * (FRAME_HEADER_BYTES + MAX_FRAME_BYTES));

/// Something that the control side wants to know of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneEvent {
    /// The lane has ended a round.
    RoundEnd {
        /// The round.
        round: u32,
        /// Pages that this lane brought in it.
        pages: u64,
        /// Whether nothing follows.
        last: bool,
    },
}

/// Why a lane cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The peer's fault.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Ours.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The receiving end of one lane.
pub struct LaneIn {
    lane: u8,
    lanes: u8,
    pages: u32,
    decoders: Vec<Box<dyn Codec>>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    round: u32,
    round_pages: u64,
    sequence: u32,
    chain: u32,
    ended: bool,
}

impl LaneIn {
    /// Lane `lane` of `lanes`, for a guest of `pages` pages.
    #[must_use]
    pub fn new(lane: u8, lanes: u8, pages: u32) -> Self {
        Self {
            lane,
            lanes,
            pages,
            decoders: CODECS.iter().map(|row| (row.make)()).collect(),
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            round: 1,
            round_pages: 0,
            sequence: 0,
            chain: 0,
            ended: false,
        }
    }

    /// Room for the next bytes; never empty after [`Self::next`] has returned `None`.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// `bytes` of [`Self::space`] have been filled.
    pub fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// Whether the lane stands between two frames: the only place where a peer may close it, after its last round.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.ended && self.start == self.end
    }

    /// Delivers every whole frame in the buffer to `sink`, up to the end of a round. `None`: more bytes are wanted.
    ///
    /// # Errors
    /// [`LaneError::Protocol`] for whatever a sending end does not write, [`LaneError::Host`] where the sink fails.
    pub fn next(&mut self, sink: &dyn PageSink) -> Result<Option<LaneEvent>, LaneError> {
        while let Some(raw) = self.buffer[self.start..self.end].first_chunk::<FRAME_HEADER_BYTES>() {
            let header = FrameHeader::decode(raw, self.pages)?;
            self.check_place(&header)?;
            let bytes = FRAME_HEADER_BYTES + header.bytes as usize;
            if self.end - self.start < bytes {
                return Ok(None);
            }
            let at = self.start;
            let checksum = frame::verify(&self.buffer[at..at + bytes])?;
            self.start += bytes;
            self.sequence = self.sequence.wrapping_add(1);
            if header.kind == FrameKind::Pages {
                self.chain = frame::chain(self.chain, checksum);
                self.deliver(&header, at + FRAME_HEADER_BYTES, sink)?;
            } else {
                return self.end_round(&header, checksum).map(Some);
            }
        }
        Ok(None)
    }

    fn check_place(&self, header: &FrameHeader) -> Result<(), ProtocolError> {
        if self.ended {
            return Err(ProtocolError::new("a frame after the end of the last round"));
        }
        if header.sequence != self.sequence {
            return Err(ProtocolError(format!(
                "frame {} of lane {} where frame {} was due",
                header.sequence, self.lane, self.sequence
            )));
        }
        if header.round != self.round {
            return Err(ProtocolError(format!("a frame of round {} in round {}", header.round, self.round)));
        }
        let lane = Plan::lane_of(header.first / BLOCK_PAGES, self.lanes);
        if header.kind == FrameKind::Pages && lane != self.lane {
            return Err(ProtocolError(format!(
                "page {} on lane {}, where lane {lane} carries it",
                header.first, self.lane
            )));
        }
        Ok(())
    }

    fn deliver(&mut self, header: &FrameHeader, at: usize, sink: &dyn PageSink) -> Result<(), LaneError> {
        let payload = &self.buffer[at..at + header.bytes as usize];
        let pages = header.first..header.first + header.count;
        self.round_pages += u64::from(header.count);
        if header.codec == codec::ZERO {
            return Ok(pages.into_iter().try_for_each(|page| sink.put_zero(page))?);
        }
        let Some(index) = CODECS.iter().position(|row| row.wire_id == header.codec) else {
            return Err(ProtocolError(format!("a frame in unknown encoding {}", header.codec)).into());
        };
        for (page, coded) in pages.zip(payload.chunks_exact(CODECS[index].page_bytes)) {
            if let Ok(raw) = <&PageBytes>::try_from(coded)
                && header.codec == codec::RAW
            {
                sink.put(page, raw)?;
            } else {
                let mut bytes = [0; PAGE_BYTES];
                self.decoders[index].decode(coded, &mut bytes)?;
                sink.put(page, &bytes)?;
            }
        }
        Ok(())
    }

    fn end_round(&mut self, header: &FrameHeader, checksum: u32) -> Result<LaneEvent, LaneError> {
        if header.chain != self.chain {
            return Err(ProtocolError(format!(
                "lane {} lost a frame: its checksums do not chain",
                self.lane
            ))
            .into());
        }
        if u64::from(header.count) != self.round_pages {
            return Err(ProtocolError(format!(
                "lane {} announced {} pages in round {} and brought {}",
                self.lane, header.count, self.round, self.round_pages
            ))
            .into());
        }
        self.chain = frame::chain(self.chain, checksum);
        let (round, pages) = (self.round, std::mem::take(&mut self.round_pages));
        self.round = self.round.wrapping_add(1);
        self.ended = header.kind == FrameKind::LastRoundEnd;
        Ok(LaneEvent::RoundEnd { round, pages, last: self.ended })
    }
}
