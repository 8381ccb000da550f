//! What a request does to the image, on whatever thread.

use virtio_bindings::virtio_blk::{VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP};
use vm_memory::Bytes;

use super::{
    config::SERIAL_BYTES,
    image::{Image, SECTOR_BYTES},
    request::{Kind, Range, Request, Segment, length},
    sys::Way,
    tally::Moved,
};
use crate::GuestMemory;

/// Most bytes that one request may move: Linux asks for 1.25 MiB unless it is told otherwise. A request ends before its
/// guest can be saved, so there is an end to it.
pub const MAX_REQUEST_BYTES: u64 = 64 << 20;
/// Most bytes that the event loop reads at once before it looks after other devices: half a millisecond or so.
pub const AT_ONCE_BYTES: u64 = 4 << 20;
/// Most segments of a discard or write-zeroes request.
pub const MAX_SEGMENTS: u32 = 16;
/// Most sectors of a segment to discard: 2 GiB.
pub const MAX_DISCARD_SECTORS: u32 = 1 << 22;
/// Most sectors of a segment of zeroes, which may have to be written: 16 MiB.
pub const MAX_ZEROES_SECTORS: u32 = 1 << 15;
/// Flag of a segment of zeroes: it may be unmapped.
const UNMAP: u32 = 1;

/// How requests are served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// What the driver reads as serial number, padded by zeroes.
    pub serial: [u8; SERIAL_BYTES],
    /// A write is durable when it is answered: the driver knows no flush.
    pub write_through: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The head of its chain.
    pub head: u16,
    /// Bytes that were written to guest memory.
    pub written: u32,
    /// The data that it moved; nothing where it failed.
    pub moved: Option<Moved>,
}

/// Why a request is not served.
enum Failure {
    /// It cannot be, or the host failed.
    Error,
    /// It asks for what this device does not do.
    Unsupported,
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Self::Error
    }
}

/// As [`serve`], where that takes no wait: a read of what the host has in its page cache. `None` for anything else, which is
/// still to be served then.
pub fn serve_at_once(request: &Request, image: &Image, memory: &GuestMemory) -> Option<Done> {
    let Kind::Read { sector, into } = &request.kind else { return None };
    check(image, *sector, into).ok()?;
    image.read_cached(*sector, memory, into).then(|| answer(request, Ok(()), memory))
}

/// Does what `request` asks for, and writes its status.
pub fn serve(request: &Request, image: &Image, memory: &GuestMemory, manner: Manner) -> Done {
    answer(request, perform(&request.kind, image, memory, manner), memory)
}

fn answer(request: &Request, result: Result<(), Failure>, memory: &GuestMemory) -> Done {
    let (status, mut written, moved) = match result {
        Ok(()) => (VIRTIO_BLK_S_OK, request.writable, request.moves()),
        // Of the data nothing is promised, and the status comes after it.
        Err(failure) => {
            let status = match failure {
                Failure::Error => VIRTIO_BLK_S_IOERR,
                Failure::Unsupported => VIRTIO_BLK_S_UNSUPP,
            };
            (status, if request.writable == 1 { 1 } else { 0 }, None)
        }
    };
    // Statuses are 0 to 2. The place was checked to be in memory.
    if memory.write_obj(status as u8, request.status).is_err() {
        written = 0;
    }
    Done { head: request.head, written, moved }
}

fn perform(kind: &Kind, image: &Image, memory: &GuestMemory, manner: Manner) -> Result<(), Failure> {
    match kind {
        Kind::Read { sector, into } => {
            check(image, *sector, into)?;
            image.transfer(Way::Read, *sector, memory, into)?;
        }
        Kind::Write { sector, from } => {
            check(image, *sector, from)?;
            writable(image)?;
            image.transfer(Way::Write, *sector, memory, from)?;
        }
        Kind::Flush => image.flush()?,
        Kind::Identify { into } => identify(memory, into, &manner.serial)?,
        Kind::Discard(segments) => {
            writable(image)?;
            check_segments(image, segments, 0, MAX_DISCARD_SECTORS)?;
            segments.iter().try_for_each(|one| image.discard(one.sector, one.sectors.into()))?;
        }
        Kind::WriteZeroes(segments) => {
            writable(image)?;
            check_segments(image, segments, UNMAP, MAX_ZEROES_SECTORS)?;
            let zero =
                |one: &Segment| image.write_zeroes(one.sector, one.sectors.into(), one.flags & UNMAP != 0);
            segments.iter().try_for_each(zero)?;
        }
        Kind::Malformed => return Err(Failure::Error),
        Kind::Unknown => return Err(Failure::Unsupported),
    }
    if manner.write_through && !matches!(kind, Kind::Read { .. } | Kind::Identify { .. }) {
        image.flush()?;
    }
    Ok(())
}

/// Whole blocks within the image, and not too many.
fn check(image: &Image, sector: u64, ranges: &[Range]) -> Result<(), Failure> {
    let (bytes, block) = (length(ranges), u64::from(image.block_bytes()));
    let whole = bytes.is_multiple_of(block) && sector.is_multiple_of(block / SECTOR_BYTES);
    let fits = bytes <= MAX_REQUEST_BYTES && image.has(sector, bytes / SECTOR_BYTES);
    if whole && fits { Ok(()) } else { Err(Failure::Error) }
}

fn writable(image: &Image) -> Result<(), Failure> {
    if image.read_only { Err(Failure::Error) } else { Ok(()) }
}

/// Every segment before the first is touched.
fn check_segments(image: &Image, segments: &[Segment], flags: u32, most: u32) -> Result<(), Failure> {
    let in_block = u64::from(image.block_bytes()) / SECTOR_BYTES;
    for segment in segments {
        if segment.flags & !flags != 0 {
            return Err(Failure::Unsupported);
        }
        let sectors = u64::from(segment.sectors);
        let whole = segment.sector.is_multiple_of(in_block) && sectors.is_multiple_of(in_block);
        if sectors == 0 || segment.sectors > most || !whole || !image.has(segment.sector, sectors) {
            return Err(Failure::Error);
        }
    }
    Ok(())
}

fn identify(memory: &GuestMemory, into: &[Range], serial: &[u8; SERIAL_BYTES]) -> Result<(), Failure> {
    if length(into) < SERIAL_BYTES as u64 {
        return Err(Failure::Error);
    }
    let mut rest = serial.as_slice();
    for range in into {
        let (now, later) = rest.split_at(range.len.min(rest.len()));
        memory.write_slice(now, range.at).map_err(|_| Failure::Error)?;
        rest = later;
    }
    Ok(())
}
