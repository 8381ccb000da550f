//! The receiving end of a lane: bytes in, pages out, nothing trusted.
//!
//! Memory is two buffers of a fixed size, whatever the peer says: bytes from the wire, and what a packed frame holds. A
//! page reaches the sink only from a frame whose place in the stream is right, whose pages are this lane's, and whose
//! checksum is right; or, [placed](super::placing), is received there, and a wrong checksum ends the migration.

use std::sync::atomic::AtomicU8;

use super::{
    frame::{self, FRAME_HEADER_BYTES, FrameHeader, FrameKind, LENGTH_BYTES},
    pack::Unpacker,
    placing::Placing,
};
use crate::{
    codec::{self, CODECS, Codec, CodecRow, Held},
    error::{LaneError, ProtocolError},
    host::{PageBytes, PageSink},
    limits::{BLOCK_PAGES, MAX_PACKED_BYTES, PAGE_BYTES},
    page::Plan,
};

const BUFFER_BYTES: usize = 256 << 10;
const _: () = assert!(BUFFER_BYTES > 2 * FRAME_HEADER_BYTES + MAX_PACKED_BYTES);
/// The least that is asked for at once: many small frames.
const MIN_READ_BYTES: usize = 64 << 10;

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

/// The receiving end of one lane.
pub struct LaneIn {
    wire: Bytes,
    /// The frame on the wire that has begun, as far as its header has come.
    begun: Option<FrameHeader>,
    placing: Option<Placing>,
    unpacked: Bytes,
    unpacker: Unpacker,
    packed_sequence: u32,
    frames: Frames,
}

/// Bytes that have come and are not yet read.
#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Bytes {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The header of the next frame, checked, and the frame, as far as it has come. `None`: not even a header.
    fn frame(&self, pages: u32) -> Result<Option<(FrameHeader, &[u8])>, ProtocolError> {
        let Some(raw) = self.rest().first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(None);
        };
        let header = FrameHeader::decode(raw, pages)?;
        let bytes = FRAME_HEADER_BYTES + header.bytes as usize;
        Ok(Some((header, &self.rest()[..bytes.min(self.end - self.start)])))
    }
}

/// Whether all of a frame has come.
fn whole(header: &FrameHeader, frame: &[u8]) -> bool {
    frame.len() == FRAME_HEADER_BYTES + header.bytes as usize
}

impl LaneIn {
    /// Lane `lane` of `lanes`, for a guest of `pages` pages.
    #[must_use]
    pub fn new(lane: u8, lanes: u8, pages: u32) -> Self {
        Self {
            wire: Bytes { bytes: vec![0; BUFFER_BYTES], start: 0, end: 0 },
            begun: None,
            placing: None,
            unpacked: Bytes::default(),
            unpacker: Unpacker::default(),
            packed_sequence: 0,
            frames: Frames {
                lane,
                lanes,
                pages,
                decoders: CODECS.iter().map(|row| (row.make)()).collect(),
                round: 1,
                round_pages: 0,
                sequence: 0,
                chain: 0,
                ended: false,
            },
        }
    }

    /// Room for the next bytes; never empty after [`Self::next`] has returned `None`. It ends where the frame that has
    /// begun and the header behind it end, so that nothing is left over that would have to be moved.
    pub fn space(&mut self) -> &mut [u8] {
        let Bytes { bytes, start, end } = &mut self.wire;
        bytes.copy_within(*start..*end, 0);
        *end -= std::mem::take(start);
        let begun = self.begun.map_or(0, |header| FRAME_HEADER_BYTES + header.bytes as usize);
        let last = (begun + FRAME_HEADER_BYTES).max(MIN_READ_BYTES).min(bytes.len());
        &mut bytes[*end..last]
    }

    /// In place of [`Self::space`], where a frame of pages as they are has begun and none of them has come: their memory
    /// in `sink`, and the room for the header behind them. The first is to be filled before the second.
    pub fn place<'a>(&'a mut self, sink: &'a dyn PageSink) -> Option<(&'a [AtomicU8], &'a mut [u8])> {
        let Bytes { bytes, start, end } = &mut self.wire;
        if self.placing.is_none() {
            let header = self.begun.filter(|_| *end - *start == FRAME_HEADER_BYTES)?;
            let raw = *bytes[*start..].first_chunk()?;
            self.placing = Some(Placing::begin(header, raw, sink)?);
            (*start, *end) = (0, 0);
        }
        let place = self.placing.as_ref()?.rest(sink)?;
        Some((place, &mut bytes[..FRAME_HEADER_BYTES]))
    }

    /// `bytes` of [`Self::space`], or of [`Self::place`], have been filled.
    pub fn filled(&mut self, bytes: usize) {
        let behind = self.placing.as_mut().map_or(bytes, |placing| placing.filled(bytes));
        self.wire.end = (self.wire.end + behind).min(self.wire.bytes.len());
    }

    /// Whether the lane stands between two frames: the only place where a peer may close it, after its last round.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.frames.ended && self.wire.rest().is_empty() && self.unpacked.rest().is_empty()
    }

    /// Delivers every whole frame in the buffer to `sink`, up to the end of a round. `None`: more bytes are wanted.
    ///
    /// # Errors
    /// [`LaneError::Protocol`] for whatever a sending end does not write, [`LaneError::Host`] where the sink fails.
    pub fn next(&mut self, sink: &dyn PageSink) -> Result<Option<LaneEvent>, LaneError> {
        loop {
            if let Some(placing) = self.placing.take_if(|placing| placing.is_whole()) {
                let checksum = placing.verify(sink)?;
                self.frames.count(&placing.header, checksum);
            } else if self.placing.is_some() {
                return Ok(None);
            }
            let event = if self.unpacked.rest().is_empty() {
                self.wire_frame(sink)?
            } else {
                Some(self.batch_frame(sink)?)
            };
            match event {
                None => return Ok(None),
                Some(None) => {}
                Some(event) => return Ok(event),
            }
        }
    }

    /// The next frame from the wire. The outer `None`: it has not come.
    fn wire_frame(&mut self, sink: &dyn PageSink) -> Result<Option<Option<LaneEvent>>, LaneError> {
        let Some((header, frame)) = self.wire.frame(self.frames.pages)? else {
            self.begun = None;
            return Ok(None);
        };
        let packed = header.kind == FrameKind::Packed;
        if packed {
            self.frames.check_time(&header, self.packed_sequence, "packed frame")?;
        } else {
            self.frames.check_place(&header)?;
        }
        if !whole(&header, frame) {
            self.begun = Some(header);
            return Ok(None);
        }
        let checksum = frame::verify(frame)?;
        let payload = &frame[FRAME_HEADER_BYTES..];
        let event = if packed {
            let Bytes { bytes, start, end } = &mut self.unpacked;
            self.unpacker.unpack(payload, bytes, header.count as usize)?;
            (*start, *end) = (0, header.count as usize);
            self.packed_sequence = self.packed_sequence.wrapping_add(1);
            None
        } else {
            self.frames.take(&header, payload, checksum, sink)?
        };
        self.wire.start += FRAME_HEADER_BYTES + payload.len();
        Ok(Some(event))
    }

    /// The next frame of a batch, which has come as a whole.
    fn batch_frame(&mut self, sink: &dyn PageSink) -> Result<Option<LaneEvent>, LaneError> {
        let (header, frame) = self.unpacked.frame(self.frames.pages)?.ok_or_else(cut)?;
        if header.kind == FrameKind::Packed {
            return Err(ProtocolError::new("a packed frame in a packed frame").into());
        }
        self.frames.check_place(&header)?;
        if !whole(&header, frame) {
            return Err(cut());
        }
        let checksum = frame::verify(frame)?;
        let event = self.frames.take(&header, &frame[FRAME_HEADER_BYTES..], checksum, sink)?;
        self.unpacked.start += FRAME_HEADER_BYTES + header.bytes as usize;
        Ok(event)
    }
}

fn cut() -> LaneError {
    ProtocolError::new("a packed frame that ends within a frame").into()
}

/// What a lane has brought so far: the place of the next frame, and the decoders.
struct Frames {
    lane: u8,
    lanes: u8,
    pages: u32,
    decoders: Vec<Box<dyn Codec>>,
    round: u32,
    round_pages: u64,
    sequence: u32,
    chain: u32,
    ended: bool,
}

impl Frames {
    /// Whether a frame is due now that stands at `sequence` among its like.
    fn check_time(&self, header: &FrameHeader, sequence: u32, what: &str) -> Result<(), ProtocolError> {
        if self.ended {
            return Err(ProtocolError::new("a frame after the end of the last round"));
        }
        if header.sequence != sequence {
            return Err(ProtocolError(format!(
                "{what} {} of lane {} where {what} {sequence} was due",
                header.sequence, self.lane
            )));
        }
        if header.round != self.round {
            return Err(ProtocolError(format!("a frame of round {} in round {}", header.round, self.round)));
        }
        Ok(())
    }

    fn check_place(&self, header: &FrameHeader) -> Result<(), ProtocolError> {
        self.check_time(header, self.sequence, "frame")?;
        let lane = Plan::lane_of(header.first / BLOCK_PAGES, self.lanes);
        if header.kind == FrameKind::Pages && lane != self.lane {
            return Err(ProtocolError(format!(
                "page {} on lane {}, where lane {lane} carries it",
                header.first, self.lane
            )));
        }
        Ok(())
    }

    /// Takes in a frame whose place and checksum are right.
    fn take(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        checksum: u32,
        sink: &dyn PageSink,
    ) -> Result<Option<LaneEvent>, LaneError> {
        if header.kind == FrameKind::Pages {
            self.count(header, checksum);
            self.deliver(header, payload, sink)?;
            Ok(None)
        } else {
            self.sequence = self.sequence.wrapping_add(1);
            self.end_round(header, checksum).map(Some)
        }
    }

    /// Counts a frame of pages, which are where they belong or go there next.
    fn count(&mut self, header: &FrameHeader, checksum: u32) {
        self.sequence = self.sequence.wrapping_add(1);
        self.chain = frame::chain(self.chain, checksum);
        self.round_pages += u64::from(header.count);
    }

    fn deliver(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        sink: &dyn PageSink,
    ) -> Result<(), LaneError> {
        let mut pages = header.first..header.first + header.count;
        if header.codec == codec::ZERO {
            return Ok(pages.try_for_each(|page| sink.put_zero(page))?);
        }
        if header.codec == codec::RAW {
            let (raw, _) = payload.as_chunks::<PAGE_BYTES>();
            return Ok(pages.zip(raw).try_for_each(|(page, raw)| sink.put(page, raw))?);
        }
        let held = OfLane { sink, lane: self.lane, lanes: self.lanes, pages: self.pages };
        let row = CODECS.iter().zip(&mut self.decoders).find(|(row, _)| row.wire_id == header.codec);
        let Some((row, decoder)) = row else {
            return Err(ProtocolError(format!("a frame in unknown encoding {}", header.codec)).into());
        };
        let mut rest = payload;
        for page in pages {
            let mut bytes = [0; PAGE_BYTES];
            decoder.decode(page, next_page(row, &mut rest)?, &held, &mut bytes)?;
            sink.put(page, &bytes)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(lengths(row)) }
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

/// Cuts the encoding of one page off a payload.
fn next_page<'a>(row: &CodecRow, rest: &mut &'a [u8]) -> Result<&'a [u8], LaneError> {
    let bytes = match row.page_bytes {
        Some(bytes) => bytes,
        None => {
            let (length, after) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| lengths(row))?;
            *rest = after;
            usize::from(u16::from_le_bytes(*length))
        }
    };
    let (page, after) = rest.split_at_checked(bytes).ok_or_else(|| lengths(row))?;
    *rest = after;
    Ok(page)
}

fn lengths(row: &CodecRow) -> LaneError {
    ProtocolError(format!("pages in encoding '{}' that do not add up to their frame", row.name)).into()
}

/// The target's memory, as far as a lane may look at it.
struct OfLane<'a> {
    sink: &'a dyn PageSink,
    lane: u8,
    lanes: u8,
    pages: u32,
}

impl Held for OfLane<'_> {
    fn read(&self, page: u32, into: &mut PageBytes) -> Result<(), LaneError> {
        if page >= self.pages {
            return Err(ProtocolError(format!(
                "a reference to page {page} of a guest that has {}",
                self.pages
            ))
            .into());
        }
        if Plan::lane_of(page / BLOCK_PAGES, self.lanes) != self.lane {
            return Err(ProtocolError(format!(
                "lane {} refers to page {page}, which another lane carries",
                self.lane
            ))
            .into());
        }
        Ok(self.sink.get(page, into)?)
    }
}
