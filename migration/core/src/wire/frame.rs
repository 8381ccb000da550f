//! The header of a lane frame, 32 bytes, little endian:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0 | kind | 1 = pages, 2 = the round ends, 3 = the last round ends, 4 = frames, packed |
//! | 1 | codec | wire id of the codec; 0 in the end of a round |
//! | 2..4 | | zero |
//! | 4..8 | round | from 1 |
//! | 8..12 | sequence | frames of this lane so far, wraps; packed frames are counted apart from the others |
//! | 12..16 | first | first page; else zero |
//! | 16..20 | count | consecutive pages, or (round end) the lane's pages in the round, or (packed) bytes unpacked |
//! | 20..24 | bytes | length of the payload |
//! | 24..28 | chain | CRC-32 of the lane's checksums so far, in a round end; else zero |
//! | 28..32 | checksum | CRC-32 of the 28 bytes before it and the payload |
//!
//! The payload of pages is the pages' encodings, one after the other; where the codec's have no fixed size, each after
//! its length (u16, little endian). The payload of a packed frame is the next piece of the lane's zstd stream, which
//! unpacks to whole frames of the other kinds, checksums and all.

use crate::{
    codec,
    error::ProtocolError,
    limits::{BLOCK_PAGES, MAX_FRAME_BYTES, MAX_PACKED_BYTES, MAX_UNPACKED_BYTES},
};

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 32;
const CHECKSUM_AT: usize = 28;
/// Bytes of the length before an encoded page, where there is one.
pub(super) const LENGTH_BYTES: usize = 2;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Consecutive pages by one codec.
    Pages,
    /// This lane has nothing more in this round.
    RoundEnd,
    /// This lane has nothing more at all.
    LastRoundEnd,
    /// Frames of the other kinds, compressed together.
    Packed,
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it is.
    pub kind: FrameKind,
    /// Wire id of the codec.
    pub codec: u8,
    /// Round it belongs to.
    pub round: u32,
    /// Frames of this lane before it, wrapping.
    pub sequence: u32,
    /// First page.
    pub first: u32,
    /// Pages.
    pub count: u32,
    /// Payload bytes.
    pub bytes: u32,
    /// Chained checksum, in round ends.
    pub chain: u32,
}

impl FrameHeader {
    /// Writes the header in front of its payload: `frame` is room for the header followed by the payload.
    /// Returns the checksum.
    pub fn seal(&self, frame: &mut [u8]) -> u32 {
        let kind = match self.kind {
            FrameKind::Pages => 1,
            FrameKind::RoundEnd => 2,
            FrameKind::LastRoundEnd => 3,
            FrameKind::Packed => 4,
        };
        frame[..4].copy_from_slice(&[kind, self.codec, 0, 0]);
        let fields = [self.round, self.sequence, self.first, self.count, self.bytes, self.chain];
        for (at, field) in (4..).step_by(4).zip(fields) {
            frame[at..at + 4].copy_from_slice(&field.to_le_bytes());
        }
        let mut sum = Sum::of(&frame[..CHECKSUM_AT]);
        sum.add(&frame[FRAME_HEADER_BYTES..]);
        let checksum = sum.0.finalize();
        frame[CHECKSUM_AT..FRAME_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// Reads a header and checks all that can be checked without its payload, for a guest of `pages` pages.
    ///
    /// # Errors
    /// Unknown kind or codec, a payload over the limit, pages that do not exist.
    pub fn decode(raw: &[u8; FRAME_HEADER_BYTES], pages: u32) -> Result<Self, ProtocolError> {
        let field = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        let kind = match (raw[0], raw[2], raw[3]) {
            (1, 0, 0) => FrameKind::Pages,
            (2, 0, 0) => FrameKind::RoundEnd,
            (3, 0, 0) => FrameKind::LastRoundEnd,
            (4, 0, 0) => FrameKind::Packed,
            (kind, ..) => return Err(ProtocolError(format!("a frame of unknown kind {kind}"))),
        };
        let header = Self {
            kind,
            codec: raw[1],
            round: field(4),
            sequence: field(8),
            first: field(12),
            count: field(16),
            bytes: field(20),
            chain: field(24),
        };
        match kind {
            FrameKind::Pages => header.check_pages(pages)?,
            FrameKind::Packed => header.check_packed()?,
            _ if header.bytes != 0 => return Err(ProtocolError::new("a round end with a payload")),
            _ => {}
        }
        Ok(header)
    }

    fn check_packed(&self) -> Result<(), ProtocolError> {
        if self.codec != codec::PACKED {
            return Err(ProtocolError(format!("frames packed in unknown encoding {}", self.codec)));
        }
        let limits =
            [("bytes", self.bytes, MAX_PACKED_BYTES), ("bytes unpacked", self.count, MAX_UNPACKED_BYTES)];
        for (what, bytes, most) in limits {
            if bytes == 0 || bytes as usize > most {
                return Err(ProtocolError(format!(
                    "a packed frame of {bytes} {what}; 1 to {most} are allowed"
                )));
            }
        }
        Ok(())
    }

    fn check_pages(&self, pages: u32) -> Result<(), ProtocolError> {
        if self.bytes as usize > MAX_FRAME_BYTES {
            return Err(ProtocolError(format!(
                "a frame of {} bytes, over the limit of {MAX_FRAME_BYTES}",
                self.bytes
            )));
        }
        if self.count == 0 || self.count > BLOCK_PAGES {
            return Err(ProtocolError(format!(
                "a frame of {} pages; 1 to {BLOCK_PAGES} are allowed",
                self.count
            )));
        }
        if self.first.checked_add(self.count).is_none_or(|end| end > pages) {
            return Err(ProtocolError(format!(
                "pages {}+{} of a guest that has {pages}",
                self.first, self.count
            )));
        }
        let codec = codec::by_wire_id(self.codec)
            .ok_or_else(|| ProtocolError(format!("a frame in unknown encoding {}", self.codec)))?;
        let count = self.count as usize;
        let right = match codec.page_bytes {
            Some(each) => self.bytes as usize == each * count,
            None => self.bytes as usize >= LENGTH_BYTES * count,
        };
        if !right {
            return Err(ProtocolError(format!(
                "{} pages in encoding '{}' with {} bytes",
                self.count, codec.name, self.bytes
            )));
        }
        let last = self.first + self.count - 1;
        if self.first / BLOCK_PAGES != last / BLOCK_PAGES {
            return Err(ProtocolError::new("a frame that spans two blocks"));
        }
        Ok(())
    }
}

/// The checksum of a frame in the making.
pub(super) struct Sum(crc32fast::Hasher);

impl Sum {
    /// Begins with the header; what it says of the checksum does not count.
    pub(super) fn of(header: &[u8]) -> Self {
        let mut sum = Self(crc32fast::Hasher::new());
        sum.add(&header[..CHECKSUM_AT]);
        sum
    }

    /// Goes on with a piece of the payload.
    pub(super) fn add(&mut self, payload: &[u8]) {
        self.0.update(payload);
    }

    /// The checksum, which must be what `header` says.
    ///
    /// # Errors
    /// A wrong checksum.
    pub(super) fn verify(self, header: &[u8; FRAME_HEADER_BYTES]) -> Result<u32, ProtocolError> {
        let found = self.0.finalize();
        if header[CHECKSUM_AT..] == found.to_le_bytes() {
            Ok(found)
        } else {
            Err(ProtocolError::new("a frame with a wrong checksum"))
        }
    }
}

/// Checks the checksum of a whole frame and returns it.
///
/// # Errors
/// A wrong checksum.
pub(super) fn verify(frame: &[u8]) -> Result<u32, ProtocolError> {
    let (header, payload) =
        frame.split_first_chunk().ok_or(ProtocolError::new("a frame without a header"))?;
    let mut sum = Sum::of(header);
    sum.add(payload);
    sum.verify(header)
}

/// Chains `checksum` to those before it, so that a missing frame shows at the end of the round.
pub(super) fn chain(before: u32, checksum: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(&checksum.to_le_bytes());
    hasher.finalize()
}
