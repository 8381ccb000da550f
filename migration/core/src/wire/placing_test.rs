//! Raw pages come straight to their place, all others by way of the buffer, and no byte that changed gets through.

use std::{
    ops::Range,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use proptest::prelude::*;

use super::{LaneEvent, LaneIn, LaneOut, frame::FRAME_HEADER_BYTES};
use crate::{
    codec::Encoding,
    host::{HostError, PageBytes, PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
};

const PAGES: u32 = 600;

/// A memory that can be received into, up to the page at which it is in two pieces.
struct Memory {
    bytes: Vec<AtomicU8>,
    border: u32,
}

impl Memory {
    fn new(border: u32) -> Self {
        Self { bytes: (0..PAGES as usize * PAGE_BYTES).map(|_| AtomicU8::new(0)).collect(), border }
    }

    fn page(&self, page: u32) -> &[AtomicU8] {
        &self.bytes[page as usize * PAGE_BYTES..][..PAGE_BYTES]
    }

    fn holds(&self, pages: Range<u32>) -> bool {
        pages.into_iter().all(|page| {
            let mut bytes = [0; PAGE_BYTES];
            self.get(page, &mut bytes).unwrap();
            bytes == content(page)
        })
    }
}

impl PageSink for Memory {
    fn pages(&self) -> u32 {
        PAGES
    }
    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        self.page(page).iter().zip(bytes).for_each(|(to, &byte)| to.store(byte, Relaxed));
        Ok(())
    }
    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError> {
        into.iter_mut().zip(self.page(page)).for_each(|(to, byte)| *to = byte.load(Relaxed));
        Ok(())
    }
    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        self.put(page, &[0; PAGE_BYTES])
    }
    fn place(&self, pages: Range<u32>) -> Option<&[AtomicU8]> {
        let whole = pages.end <= self.border || pages.start >= self.border;
        whole.then(|| &self.bytes[pages.start as usize * PAGE_BYTES..pages.end as usize * PAGE_BYTES])
    }
}

struct Guest;

fn content(page: u32) -> PageBytes {
    std::array::from_fn(|at| (page as usize * 31 + at / 64) as u8 | 1)
}

impl PageSource for Guest {
    fn pages(&self) -> u32 {
        PAGES
    }
    fn read(&self, page: u32, into: &mut PageBytes) {
        *into = content(page);
    }
    fn touched(&self, _: &mut PageSet) -> Result<(), HostError> {
        Ok(())
    }
}

/// Pages as they are, in two rounds: these, and the first of them again.
fn send(pages: Range<u32>) -> Vec<u8> {
    send_by("none", pages)
}

/// The same in an encoding.
fn send_by(encoding: &str, pages: Range<u32>) -> Vec<u8> {
    let mut out = LaneOut::new(&Encoding::parse(encoding).unwrap());
    let mut wire = vec![];
    for (round, pages) in [(1, pages.clone()), (2, pages.start..pages.start + 1)] {
        out.begin_round(round, false);
        for page in pages {
            if out.page(page, &Guest) {
                wire.extend_from_slice(out.take());
            }
        }
        out.end_round(round == 2);
        wire.extend_from_slice(out.take());
    }
    wire
}

/// What came of a stream that arrives in pieces.
struct Received {
    events: Vec<LaneEvent>,
    /// Bytes that went straight to their place.
    placed: usize,
    at_end: bool,
}

fn receive(
    wire: &[u8],
    memory: &Memory,
    pieces: impl IntoIterator<Item = usize>,
) -> Result<Received, String> {
    let mut lane = LaneIn::new(0, 1, PAGES);
    let mut received = Received { events: vec![], placed: 0, at_end: false };
    let mut rest = wire;
    for piece in pieces {
        if rest.is_empty() {
            break;
        }
        let mut now = rest.split_off(..piece.min(rest.len())).unwrap();
        while !now.is_empty() {
            let (place, then) = lane.place(memory).unzip();
            let place: &[AtomicU8] = place.unwrap_or_default();
            let placed = now.split_off(..place.len().min(now.len())).unwrap();
            place.iter().zip(placed).for_each(|(to, &byte)| to.store(byte, Relaxed));
            let mut filled = placed.len();
            received.placed += filled;
            let space = match then {
                Some(then) => then,
                None => lane.space(),
            };
            let behind = now.split_off(..space.len().min(now.len())).unwrap();
            space[..behind.len()].copy_from_slice(behind);
            filled += behind.len();
            assert!(filled > 0, "a lane that wants bytes has room for them");
            lane.filled(filled);
            while let Some(event) = lane.next(memory).map_err(|error| error.to_string())? {
                received.events.push(event);
            }
        }
    }
    received.at_end = lane.at_end();
    Ok(received)
}

#[test]
fn all_but_the_first_raw_frame_goes_straight_to_its_place() {
    let (wire, memory) = (send(0..128), Memory::new(PAGES));
    let received = receive(&wire, &memory, std::iter::repeat(usize::MAX)).unwrap();
    let end = |round, pages, last| LaneEvent::RoundEnd { round, pages, last };
    assert_eq!(received.events, [end(1, 128, false), end(2, 1, true)]);
    assert!(received.at_end && memory.holds(0..128));
    // Of the first frame nothing is known when its bytes come; the other 7 have 16 pages each.
    assert_eq!(received.placed, 7 * 16 * PAGE_BYTES);
}

#[test]
fn pages_that_are_not_one_piece_of_memory_come_by_way_of_the_buffer() {
    let (wire, memory) = (send(0..128), Memory::new(40));
    let received = receive(&wire, &memory, std::iter::repeat(usize::MAX)).unwrap();
    assert!(received.at_end && memory.holds(0..128));
    assert_eq!(received.placed, 6 * 16 * PAGE_BYTES, "all but the first, and the one over the border");
}

#[test]
fn a_page_that_changed_on_the_way_to_its_place_ends_the_lane() {
    let mut wire = send(0..64);
    let third = 2 * (FRAME_HEADER_BYTES + 16 * PAGE_BYTES);
    wire[third + FRAME_HEADER_BYTES + 5] ^= 4;
    let error = receive(&wire, &Memory::new(PAGES), std::iter::repeat(usize::MAX)).err().unwrap();
    assert!(error.contains("a frame with a wrong checksum"), "{error}");
}

proptest! {
    /// However the bytes come and are encoded, and wherever pages are in two pieces.
    #[test]
    fn however_the_bytes_come_the_pages_are_the_same(
        pieces in prop::collection::vec(1..100_000usize, 1..20), border in 0..PAGES, first in 0..100u32,
        encoding in prop::sample::select(&["none", "rle", "zstd", "rle,zstd"][..]),
    ) {
        let pages = first..first + 450;
        let (wire, memory) = (send_by(encoding, pages.clone()), Memory::new(border));
        let received = receive(&wire, &memory, pieces.into_iter().cycle()).unwrap();
        prop_assert!(received.at_end && memory.holds(pages));
        prop_assert_eq!(received.events.len(), 2);
    }

    /// No change of a single byte gets through, and none leads to a panic.
    #[test]
    fn no_byte_that_changed_gets_through(at in any::<prop::sample::Index>(), bits in 1..=255u8, piece in 1..200_000usize) {
        let (mut wire, memory) = (send(0..64), Memory::new(PAGES));
        *at.get_mut(&mut wire) ^= bits;
        let whole = receive(&wire, &memory, std::iter::repeat(piece)).is_ok_and(|received| received.at_end);
        prop_assert!(!whole);
    }
}
