//! A request of the driver, read from its descriptor chain (virtio 1.2 §5.2.6).
//!
//! A driver may lay a request out over descriptors as it likes (§5.2.6.4): what the device reads is a header of 16 bytes
//! and the data to write; what it writes is the data that was read and, last, one byte of status.

use std::time::Instant;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
    VIRTIO_BLK_T_WRITE_ZEROES,
};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress};

use super::{sys::Way, tally::Moved};
use crate::{
    GuestMemory,
    virtio::{ServeError, queue::Offered},
};

/// Bytes of a request's header: type, reserved, sector.
const HEADER_BYTES: usize = 16;
/// Bytes of a segment of a discard or write-zeroes request: sector, number of sectors, flags.
const SEGMENT_BYTES: usize = 16;

/// A part of guest memory, which was checked to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub at: GuestAddress,
    /// Its length in bytes.
    pub len: usize,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fill the ranges from `sector` on.
    Read { sector: u64, into: Vec<Range> },
    /// Write the ranges to `sector` and on.
    Write { sector: u64, from: Vec<Range> },
    /// Make everything that was written durable.
    Flush,
    /// Fill the ranges with the serial number.
    Identify { into: Vec<Range> },
    /// The segments hold nothing any more.
    Discard(Vec<Segment>),
    /// The segments are zeroes from now on.
    WriteZeroes(Vec<Segment>),
    /// Something that this device does not do.
    Unknown,
    /// Something that cannot be done: a length or a count that no request of its type has.
    Malformed,
}

/// A segment of a discard or write-zeroes request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub sector: u64,
    /// Its length in sectors.
    pub sectors: u32,
    /// Bit 0: it may be unmapped.
    pub flags: u32,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The head of its chain.
    pub head: u16,
    /// What is asked for.
    pub kind: Kind,
    /// Where its status goes.
    pub status: GuestAddress,
    /// Bytes that the device may write, the status among them.
    pub writable: u32,
    /// When it was read.
    pub since: Instant,
}

impl Request {
    /// Reads the request of `chain`.
    ///
    /// # Errors
    /// [`ServeError::Chain`] for a chain that is no request: there is not even a place to say so.
    pub fn read(chain: &Offered, memory: &GuestMemory, max_segments: usize) -> Result<Self, ServeError> {
        let Offered { head, buffers: descriptors } = chain;
        let split = descriptors.iter().position(Descriptor::is_write_only).unwrap_or(descriptors.len());
        let (readable, writable) = descriptors.split_at(split);
        if !writable.iter().all(Descriptor::is_write_only) {
            return Err(ServeError::Chain("has a buffer to read behind one to write"));
        }
        let (readable, mut into) = (ranges(readable), ranges(writable));
        let bytes = into.iter().map(|range| range.len as u64).sum::<u64>();
        let writable = u32::try_from(bytes).map_err(|_| ServeError::Chain("is of more than 4 GiB"))?;
        let status = take_last_byte(&mut into).ok_or(ServeError::Chain("has no place for a status"))?;
        let (header, from) = split_off(readable, HEADER_BYTES);
        let header: [u8; HEADER_BYTES] =
            gather(memory, &header)?.ok_or(ServeError::Chain("is shorter than a request's header"))?;
        let [type_0, type_1, type_2, type_3, _, _, _, _, sector @ ..] = header;
        let sector = u64::from_le_bytes(sector);
        let kind = match u32::from_le_bytes([type_0, type_1, type_2, type_3]) {
            VIRTIO_BLK_T_IN => Kind::Read { sector, into },
            VIRTIO_BLK_T_OUT => Kind::Write { sector, from },
            VIRTIO_BLK_T_FLUSH => Kind::Flush,
            VIRTIO_BLK_T_GET_ID => Kind::Identify { into },
            VIRTIO_BLK_T_DISCARD => {
                segments(memory, from, max_segments)?.map_or(Kind::Malformed, Kind::Discard)
            }
            VIRTIO_BLK_T_WRITE_ZEROES => {
                segments(memory, from, max_segments)?.map_or(Kind::Malformed, Kind::WriteZeroes)
            }
            _ => Kind::Unknown,
        };
        Ok(Self { head: *head, kind, status, writable, since: Instant::now() })
    }

    /// The data that it moves; nothing for one that moves none.
    pub fn moves(&self) -> Option<Moved> {
        let (way, ranges) = match &self.kind {
            Kind::Read { into, .. } => (Way::Read, into),
            Kind::Write { from, .. } => (Way::Write, from),
            _ => return None,
        };
        Some(Moved { way, bytes: length(ranges), since: self.since })
    }
}

/// Bytes of `ranges`, all together.
pub fn length(ranges: &[Range]) -> u64 {
    ranges.iter().map(|range| range.len as u64).sum()
}

fn ranges(descriptors: &[Descriptor]) -> Vec<Range> {
    descriptors.iter().map(|one| Range { at: one.addr(), len: one.len() as usize }).collect()
}

/// The address of the last byte, which is taken away. No range is empty.
fn take_last_byte(ranges: &mut Vec<Range>) -> Option<GuestAddress> {
    let last = ranges.last_mut()?;
    last.len = last.len.checked_sub(1)?;
    let at = GuestAddress(last.at.0 + last.len as u64);
    if last.len == 0 {
        ranges.pop();
    }
    Some(at)
}

/// The first `bytes` bytes, or what there is of them, and the rest.
fn split_off(ranges: Vec<Range>, bytes: usize) -> (Vec<Range>, Vec<Range>) {
    let (mut first, mut rest, mut left) = (Vec::new(), Vec::new(), bytes);
    for Range { at, len } in ranges {
        let taken = len.min(left);
        left -= taken;
        if taken > 0 {
            first.push(Range { at, len: taken });
        }
        if taken < len {
            rest.push(Range { at: GuestAddress(at.0 + taken as u64), len: len - taken });
        }
    }
    (first, rest)
}

/// What the ranges hold, where that is exactly `N` bytes.
fn gather<const N: usize>(memory: &GuestMemory, ranges: &[Range]) -> Result<Option<[u8; N]>, ServeError> {
    let mut bytes = [0; N];
    let mut filled = 0;
    for range in ranges {
        let Some(part) = bytes.get_mut(filled..filled + range.len) else { return Ok(None) };
        memory.read_slice(part, range.at).map_err(virtio_queue::Error::GuestMemory)?;
        filled += range.len;
    }
    Ok((filled == N).then_some(bytes))
}

/// The segments of a request; `None` where they are none, too many or not whole.
fn segments(
    memory: &GuestMemory,
    mut from: Vec<Range>,
    max_segments: usize,
) -> Result<Option<Vec<Segment>>, ServeError> {
    let count = length(&from) / SEGMENT_BYTES as u64;
    if count == 0 || count > max_segments as u64 || length(&from) != count * SEGMENT_BYTES as u64 {
        return Ok(None);
    }
    let mut segments = Vec::with_capacity(count as usize);
    while !from.is_empty() {
        let (one, rest) = split_off(from, SEGMENT_BYTES);
        let Some(bytes) = gather::<SEGMENT_BYTES>(memory, &one)? else { return Ok(None) };
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, flags @ ..] = bytes;
        segments.push(Segment {
            sector: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            sectors: u32::from_le_bytes([n0, n1, n2, n3]),
            flags: u32::from_le_bytes(flags),
        });
        from = rest;
    }
    Ok(Some(segments))
}
