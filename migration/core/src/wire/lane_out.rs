//! The sending end of a lane: pages in, frames out, through one buffer that stays in the cache.
//!
//! A page is copied out of the guest once, to the place in the buffer where it would travel raw. The coders look at
//! that copy; if one takes the page, its encoding replaces the copy. A full buffer is a batch: it is written as it is,
//! or compressed into one packed frame.

use std::time::Duration;

use super::{
    frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, LENGTH_BYTES, chain},
    pace::{Backlog, Batch, Pace},
    pack::Packer,
};
use crate::{
    codec::{self, Chain, Coded, Encoding},
    host::{PageBytes, PageSource},
    limits::{BLOCK_PAGES, MAX_FRAME_BYTES, MAX_UNPACKED_BYTES, PAGE_BYTES},
};

/// Bytes collected before they are worth a write.
const BUFFER_BYTES: usize = 128 << 10;
/// The most that one page can add: a new frame with the page raw; and the end of a round.
const ROOM: usize = FRAME_HEADER_BYTES + LENGTH_BYTES + PAGE_BYTES + FRAME_HEADER_BYTES;
const _: () = assert!(BUFFER_BYTES + ROOM <= MAX_UNPACKED_BYTES);

/// What a lane has sent in a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneTotals {
    /// Pages, in whatever encoding.
    pub pages: u64,
    /// Pages of the plan that were left out, because the guest had given them free meanwhile.
    pub free: u64,
    /// Bytes on the wire, frame headers included.
    pub wire_bytes: u64,
    /// Pages by wire id of their codec; those that no codec took and that went in a packed batch are under
    /// [`codec::PACKED`].
    pub by_codec: [u64; 8],
}

impl LaneTotals {
    /// Adds another lane's, or another round's.
    pub fn add(&mut self, other: &Self) {
        self.pages += other.pages;
        self.free += other.free;
        self.wire_bytes += other.wire_bytes;
        for (a, b) in self.by_codec.iter_mut().zip(other.by_codec) {
            *a += b;
        }
    }
}

/// The sending end of one lane.
pub struct LaneOut {
    chain: Chain,
    pace: Pace,
    packer: Packer,
    buffer: Vec<u8>,
    used: usize,
    /// Start of the frame that may still grow, with its header as far as it is known.
    open: Option<(usize, FrameHeader)>,
    coded: Vec<u8>,
    /// Pages in the buffer that no coder took.
    raw_pages: u64,
    /// The batch that is ready or was taken last.
    batch: Batch,
    ready: bool,
    round: u32,
    sequence: u32,
    packed_sequence: u32,
    checksums: u32,
    totals: LaneTotals,
}

impl LaneOut {
    /// A lane that encodes as `encoding` says; what all its coders decline goes raw.
    #[must_use]
    pub fn new(encoding: &Encoding) -> Self {
        let (chain, packing) = encoding.make();
        Self {
            chain,
            pace: Pace::new(packing),
            packer: Packer::default(),
            buffer: vec![0; BUFFER_BYTES + ROOM],
            used: 0,
            open: None,
            coded: vec![],
            raw_pages: 0,
            batch: Batch::default(),
            ready: false,
            round: 0,
            sequence: 0,
            packed_sequence: 0,
            checksums: 0,
            totals: LaneTotals::default(),
        }
    }

    /// Begins `round`. The `last` is compressed whatever the others were: by `rle`, and where the link is known to be
    /// slower than zstd, by that.
    pub fn begin_round(&mut self, round: u32, last: bool) {
        self.round = round;
        self.totals = LaneTotals::default();
        self.chain.begin_round(round, last);
        self.pace.begin_round(last);
    }

    /// Pages of this round so far.
    #[must_use]
    pub fn round_pages(&self) -> u64 {
        self.totals.pages
    }

    /// Leaves a page of the plan out that is free.
    pub fn leave_out_free(&mut self) {
        self.totals.free += 1;
    }

    /// Adds `page`. When this returns true the buffer wants to be [taken](Self::take) before the next page.
    #[must_use]
    pub fn page(&mut self, page: u32, source: &dyn PageSource) -> bool {
        let grows = self.grows(page, codec::RAW, PAGE_BYTES);
        let at = if grows { self.used } else { self.used + FRAME_HEADER_BYTES };
        let copy: &mut PageBytes =
            (&mut self.buffer[at..at + PAGE_BYTES]).try_into().expect("a page's length");
        source.read(page, copy);
        self.coded.clear();
        match self.chain.encode(page, copy, self.pace.slow(), &mut self.coded) {
            Coded::Declined => {
                self.raw_pages += 1;
                self.add(page, codec::RAW, grows, PAGE_BYTES);
            }
            Coded::Used(id) => self.add_coded(page, id),
        }
        let full = self.used >= BUFFER_BYTES;
        if full {
            self.finish_batch();
        }
        full
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
            chain: self.checksums,
        };
        self.open = Some((self.used, header));
        self.used += FRAME_HEADER_BYTES;
        self.finish_batch();
        self.totals
    }

    /// Whole frames, ready for the wire; the buffer is empty afterwards.
    pub fn take(&mut self) -> &[u8] {
        self.finish_batch();
        self.ready = false;
        self.used = 0;
        if self.batch.packed { self.packer.packed(self.batch.wire) } else { &self.buffer[..self.batch.wire] }
    }

    /// Bytes of frames, before they were compressed together, in what was [taken](Self::take) last.
    #[must_use]
    pub fn taken_bytes(&self) -> u64 {
        self.batch.bytes as u64
    }

    /// What was [taken](Self::take) last took so long to make (since the write before it), and the write so long,
    /// however it was held up: by the socket, or by a limit on bandwidth; and so the way out stands now. `auto` and the
    /// last round decide by it.
    pub fn spent(&mut self, encode: Duration, write: Duration, backlog: Backlog) {
        self.pace.spent(self.batch, encode, write, backlog);
    }

    /// Whether the open frame can take `page` in this encoding, of so many bytes. Frames never span two blocks.
    fn grows(&self, page: u32, codec: u8, bytes: usize) -> bool {
        self.open.is_some_and(|(_, frame)| {
            frame.codec == codec
                && frame.first + frame.count == page
                && frame.bytes as usize + bytes <= MAX_FRAME_BYTES
                && !page.is_multiple_of(BLOCK_PAGES)
        })
    }

    /// Puts what a coder made of `page` in place.
    fn add_coded(&mut self, page: u32, id: u8) {
        let length = self.coded.len();
        let sized = codec::by_wire_id(id).is_some_and(|row| row.page_bytes.is_none());
        let prefix = if sized { LENGTH_BYTES } else { 0 };
        let grows = self.grows(page, id, prefix + length);
        let at = if grows { self.used } else { self.used + FRAME_HEADER_BYTES };
        if sized {
            self.buffer[at..at + LENGTH_BYTES].copy_from_slice(&(length as u16).to_le_bytes());
        }
        self.buffer[at + prefix..at + prefix + length].copy_from_slice(&self.coded);
        self.add(page, id, grows, prefix + length);
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
        }
        if let Some((_, frame)) = &mut self.open {
            frame.count += 1;
            frame.bytes += bytes as u32;
        }
        self.used += bytes;
        self.totals.pages += 1;
        self.totals.by_codec[usize::from(codec)] += 1;
    }

    /// Seals the open frame.
    fn close(&mut self) {
        if let Some((at, header)) = self.open.take() {
            let checksum = header.seal(&mut self.buffer[at..self.used]);
            self.sequence = self.sequence.wrapping_add(1);
            self.checksums = chain(self.checksums, checksum);
        }
    }

    /// Makes what is in the buffer ready for the wire.
    fn finish_batch(&mut self) {
        self.close();
        if self.ready {
            return;
        }
        self.ready = true;
        let raw_pages = std::mem::take(&mut self.raw_pages);
        self.batch = Batch { bytes: self.used, wire: self.used, packed: false };
        if self.used > 0
            && let Some(level) = self.pace.level()
            && let Some(frame) = self.packer.pack(&self.buffer[..self.used], level, FRAME_HEADER_BYTES)
        {
            let header = FrameHeader {
                kind: FrameKind::Packed,
                codec: codec::PACKED,
                round: self.round,
                sequence: self.packed_sequence,
                first: 0,
                count: self.used as u32,
                bytes: (frame.len() - FRAME_HEADER_BYTES) as u32,
                chain: 0,
            };
            header.seal(frame);
            self.packed_sequence = self.packed_sequence.wrapping_add(1);
            self.batch = Batch { wire: frame.len(), packed: true, ..self.batch };
            self.totals.by_codec[usize::from(codec::RAW)] -= raw_pages;
            self.totals.by_codec[usize::from(codec::PACKED)] += raw_pages;
        }
        self.totals.wire_bytes += self.batch.wire as u64;
    }
}
