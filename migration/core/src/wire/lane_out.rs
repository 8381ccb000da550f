//! The sending end of a lane: pages in, frames out, through one buffer that stays in the cache.
//!
//! A page is copied out of the guest once, to the place in the buffer where it would travel raw. The coders look at
//! that copy; if one takes the page, its encoding replaces the copy.

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, chain};
use crate::{
    codec::{self, Codec, CodecRow, Coded},
    host::{PageBytes, PageSource},
    limits::{BLOCK_PAGES, MAX_FRAME_PAGES, PAGE_BYTES},
};

/// Bytes collected before they are worth a write.
const BUFFER_BYTES: usize = 128 << 10;
/// The most that one page can add: a new frame with the page raw.
const PAGE_ROOM: usize = FRAME_HEADER_BYTES + PAGE_BYTES;

/// What a lane has sent in a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneTotals {
    /// Pages, in whatever encoding.
    pub pages: u64,
    /// Bytes on the wire, frame headers included.
    pub wire_bytes: u64,
    /// Pages by wire id of their codec.
    pub by_codec: [u64; 8],
}

impl LaneTotals {
    /// Adds another lane's, or another round's.
    pub fn add(&mut self, other: &Self) {
        self.pages += other.pages;
        self.wire_bytes += other.wire_bytes;
        for (a, b) in self.by_codec.iter_mut().zip(other.by_codec) {
            *a += b;
        }
    }
}

/// The sending end of one lane.
pub struct LaneOut {
    coders: Vec<(u8, Box<dyn Codec>)>,
    buffer: Vec<u8>,
    used: usize,
    /// Start of the frame that may still grow, with its header as far as it is known.
    open: Option<(usize, FrameHeader)>,
    coded: Vec<u8>,
    round: u32,
    sequence: u32,
    chain: u32,
    totals: LaneTotals,
}

impl LaneOut {
    /// A lane that tries `coders` in this order on each page; what all decline goes raw.
    #[must_use]
    pub fn new(coders: &[&CodecRow]) -> Self {
        Self {
            coders: coders.iter().map(|row| (row.wire_id, (row.make)())).collect(),
            buffer: vec![0; BUFFER_BYTES + PAGE_ROOM],
            used: 0,
            open: None,
            coded: vec![],
            round: 0,
            sequence: 0,
            chain: 0,
            totals: LaneTotals::default(),
        }
    }

    /// Begins `round`.
    pub fn begin_round(&mut self, round: u32) {
        self.round = round;
        self.totals = LaneTotals::default();
    }

    /// Pages of this round so far.
    #[must_use]
    pub fn round_pages(&self) -> u64 {
        self.totals.pages
    }

    /// Adds `page`. When this returns true the buffer wants to be [taken](Self::take) before the next page.
    #[must_use]
    pub fn page(&mut self, page: u32, source: &dyn PageSource) -> bool {
        let grows = self.grows(page, codec::RAW, MAX_FRAME_PAGES);
        let at = if grows { self.used } else { self.used + FRAME_HEADER_BYTES };
        let copy: &mut PageBytes =
            (&mut self.buffer[at..at + PAGE_BYTES]).try_into().expect("a page's length");
        source.read(page, copy);
        self.coded.clear();
        let coded = self
            .coders
            .iter_mut()
            .find_map(|(id, coder)| (coder.encode(copy, &mut self.coded) == Coded::Used).then_some(*id));
        match coded {
            None => self.add(page, codec::RAW, grows, PAGE_BYTES),
            Some(id) => {
                let grows =
                    self.grows(page, id, if self.coded.is_empty() { BLOCK_PAGES } else { MAX_FRAME_PAGES });
                let at = if grows { self.used } else { self.used + FRAME_HEADER_BYTES };
                self.buffer[at..at + self.coded.len()].copy_from_slice(&self.coded);
                self.add(page, id, grows, self.coded.len());
            }
        }
        self.used >= BUFFER_BYTES
    }

    /// Ends the round; `last` when no other follows. The end is in the buffer, to be taken.
    pub fn end_round(&mut self, last: bool) -> LaneTotals {
        self.close();
        let header = FrameHeader {
            kind: if last { FrameKind::LastRoundEnd } else { FrameKind::RoundEnd },
            codec: 0,
            round: self.round,
            sequence: self.sequence,
            first: 0,
            count: self.totals.pages as u32,
            bytes: 0,
            chain: self.chain,
        };
        self.open = Some((self.used, header));
        self.used += FRAME_HEADER_BYTES;
        self.totals.wire_bytes += FRAME_HEADER_BYTES as u64;
        self.close();
        self.totals
    }

    /// Whole frames, ready for the wire; the buffer is empty afterwards.
    pub fn take(&mut self) -> &[u8] {
        self.close();
        &self.buffer[..std::mem::take(&mut self.used)]
    }

    /// Whether the open frame can take `page` in this encoding. Frames never span two blocks.
    fn grows(&self, page: u32, codec: u8, most: u32) -> bool {
        self.open.is_some_and(|(_, frame)| {
            frame.codec == codec
                && frame.first + frame.count == page
                && frame.count < most
                && !page.is_multiple_of(BLOCK_PAGES)
        })
    }

    /// Accounts for a page whose bytes are in place.
    fn add(&mut self, page: u32, codec: u8, grows: bool, bytes: usize) {
        if !grows {
            self.close();
            let header = FrameHeader {
                kind: FrameKind::Pages,
                codec,
                round: self.round,
                sequence: self.sequence,
                first: page,
                count: 0,
                bytes: 0,
                chain: 0,
            };
            self.open = Some((self.used, header));
            self.used += FRAME_HEADER_BYTES;
            self.totals.wire_bytes += FRAME_HEADER_BYTES as u64;
        }
        if let Some((_, frame)) = &mut self.open {
            frame.count += 1;
            frame.bytes += bytes as u32;
        }
        self.used += bytes;
        self.totals.pages += 1;
        self.totals.wire_bytes += bytes as u64;
        self.totals.by_codec[usize::from(codec)] += 1;
    }

    /// Seals the open frame.
    fn close(&mut self) {
        if let Some((at, header)) = self.open.take() {
            let checksum = header.seal(&mut self.buffer[at..self.used]);
            self.sequence = self.sequence.wrapping_add(1);
            self.chain = chain(self.chain, checksum);
        }
    }
}
