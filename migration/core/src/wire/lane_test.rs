//! What goes into a lane comes out of it, in order; what did not go in never does.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::{
    codec::Encoding,
    host::{HostError, PageBytes, PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
};

const PAGES: u32 = 2048;

/// Pages told apart by number and version; every fifth is zero.
struct Versions(u32);

fn content(page: u32, version: u32) -> PageBytes {
    let mut bytes = [0; PAGE_BYTES];
    if !page.is_multiple_of(5) {
        bytes[..4].copy_from_slice(&page.to_le_bytes());
        bytes[PAGE_BYTES - 4..].copy_from_slice(&version.to_le_bytes());
    }
    bytes
}

impl PageSource for Versions {
    fn pages(&self) -> u32 {
        PAGES
    }
    fn read(&self, page: u32, into: &mut PageBytes) {
        *into = content(page, self.0);
    }
    fn touched(&self, into: &mut PageSet) -> Result<(), HostError> {
        into.union(&PageSet::full(PAGES));
        Ok(())
    }
}

/// Every put, in order.
#[derive(Default)]
struct Log(Mutex<Vec<(u32, PageBytes)>>);

impl PageSink for Log {
    fn pages(&self) -> u32 {
        PAGES
    }
    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        self.0.lock().unwrap().push((page, *bytes));
        Ok(())
    }
    fn get(&self, _: u32, into: &mut PageBytes) -> Result<(), HostError> {
        into.fill(0);
        Ok(())
    }
    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        self.put(page, &[0; PAGE_BYTES])
    }
}

fn send(rounds: &[Vec<u32>]) -> Vec<u8> {
    let mut out = LaneOut::new(&Encoding::parse("zero").unwrap());
    let mut wire = vec![];
    for (i, pages) in rounds.iter().enumerate() {
        out.begin_round(i as u32 + 1, i + 1 == rounds.len());
        for &page in pages {
            if out.page(page, &Versions(i as u32)) {
                wire.extend_from_slice(out.take());
            }
        }
        let totals = out.end_round(i + 1 == rounds.len());
        assert_eq!(totals.pages as usize, pages.len());
        wire.extend_from_slice(out.take());
    }
    wire
}

/// Feeds `wire` in pieces of `step` bytes; the events, or the error.
fn receive(wire: &[u8], step: usize, log: &Log) -> Result<(Vec<LaneEvent>, bool), String> {
    let mut lane = LaneIn::new(0, 1, PAGES);
    let mut events = vec![];
    for mut piece in wire.chunks(step) {
        while !piece.is_empty() {
            let space = lane.space();
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            lane.filled(n);
            piece = &piece[n..];
            while let Some(event) = lane.next(log).map_err(|e| e.to_string())? {
                events.push(event);
            }
        }
    }
    Ok((events, lane.at_end()))
}

#[test]
fn a_read_ends_behind_the_next_header_so_that_nothing_is_left_to_move() {
    let mut out = LaneOut::new(&Encoding::parse("none").unwrap());
    let mut wire = vec![];
    out.begin_round(1, false);
    for page in 0..64 {
        if out.page(page, &Versions(1)) {
            wire.extend_from_slice(out.take());
        }
    }
    out.end_round(false);
    wire.extend_from_slice(out.take());
    let (mut lane, mut asked, mut rest) = (LaneIn::new(0, 1, PAGES), vec![], &wire[..]);
    while !rest.is_empty() {
        let space = lane.space();
        asked.push(space.len());
        let (now, later) = rest.split_at(space.len().min(rest.len()));
        space[..now.len()].copy_from_slice(now);
        lane.filled(now.len());
        rest = later;
        while lane.next(&Log::default()).unwrap().is_some() {}
    }
    // Of the first frame nothing is known at first; four frames have 16 pages each, and the round's end has none.
    let frame = frame::FRAME_HEADER_BYTES + 16 * PAGE_BYTES;
    assert_eq!(asked, [16 * PAGE_BYTES, 2 * frame::FRAME_HEADER_BYTES, frame, frame, frame]);
}

fn rounds() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let runs = proptest::collection::vec((0..PAGES, 1u32..70), 0..8);
    let round = runs.prop_map(|runs| runs.into_iter().flat_map(|(at, n)| at..(at + n).min(PAGES)).collect());
    proptest::collection::vec(round, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_page_arrives_in_order_however_the_stream_is_cut(rounds in rounds(), step in 1usize..70_000) {
        let log = Log::default();
        let (events, at_end) = receive(&send(&rounds), step, &log).unwrap();
        prop_assert!(at_end);
        prop_assert_eq!(events.len(), rounds.len());
        let sent: Vec<_> = rounds.iter().zip(0..).flat_map(|(pages, v)| pages.iter().map(move |&p| (p, content(p, v)))).collect();
        prop_assert!(*log.0.lock().unwrap() == sent);
    }

    #[test]
    fn a_flipped_bit_is_an_error_and_never_a_wrong_page(rounds in rounds(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut wire = send(&rounds);
        let at = at.index(wire.len());
        wire[at] ^= 1 << bit;
        let log = Log::default();
        let outcome = receive(&wire, 4096, &log);
        // A longer length makes the lane wait for bytes that never come: then it is not at its end, which is an error
        // to whoever closes it.
        prop_assert!(outcome.is_err() || !outcome.unwrap().1);
        let sent: Vec<_> = rounds.iter().zip(0..).flat_map(|(pages, v)| pages.iter().map(move |&p| (p, content(p, v)))).collect();
        let got = log.0.lock().unwrap();
        prop_assert!(got[..] == sent[..got.len()], "only what was sent, in order");
    }

    #[test]
    fn a_truncated_stream_is_never_at_its_end(rounds in rounds(), at in any::<prop::sample::Index>()) {
        let wire = send(&rounds);
        let cut = at.index(wire.len());
        let outcome = receive(&wire[..cut], 8192, &Log::default()).unwrap();
        prop_assert!(!outcome.1);
    }

    #[test]
    fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = receive(&garbage, 64, &Log::default());
    }
}

fn refused(header: FrameHeader) -> String {
    let mut frame = vec![0; FRAME_HEADER_BYTES + header.bytes as usize];
    header.seal(&mut frame);
    receive(&frame, 4096, &Log::default()).unwrap_err()
}

#[test]
fn frames_that_no_sender_writes_are_refused_in_words() {
    let good = FrameHeader {
        kind: FrameKind::Pages,
        codec: crate::codec::RAW,
        round: 1,
        sequence: 0,
        first: 0,
        count: 1,
        bytes: 4096,
        chain: 0,
    };
    let cases = [
        (FrameHeader { first: PAGES, ..good }, "pages 2048+1 of a guest that has 2048"),
        (FrameHeader { first: u32::MAX, ..good }, "of a guest that has 2048"),
        (FrameHeader { count: 0, bytes: 0, ..good }, "a frame of 0 pages"),
        (FrameHeader { count: 17, bytes: 17 * 4096, ..good }, "over the limit"),
        (FrameHeader { count: 2, ..good }, "2 pages in encoding 'raw' with 4096 bytes"),
        (FrameHeader { first: 511, count: 2, bytes: 8192, ..good }, "spans two blocks"),
        (FrameHeader { codec: 7, ..good }, "unknown encoding 7"),
        (FrameHeader { sequence: 1, ..good }, "frame 1 of lane 0 where frame 0 was due"),
        (FrameHeader { round: 2, ..good }, "a frame of round 2 in round 1"),
        (
            FrameHeader { kind: FrameKind::RoundEnd, bytes: 0, codec: 0, ..good },
            "announced 1 pages in round 1 and brought 0",
        ),
        (
            FrameHeader { kind: FrameKind::RoundEnd, bytes: 0, codec: 0, count: 0, chain: 9, ..good },
            "lost a frame",
        ),
    ];
    for (header, words) in cases {
        let error = refused(header);
        assert!(error.contains(words), "{header:?}: {error}");
    }
}

#[test]
fn a_page_on_a_strangers_lane_is_refused() {
    let wire = send(&[vec![0]]);
    let stranger = (0..2).find(|&lane| crate::page::Plan::lane_of(0, 2) != lane).unwrap();
    let mut lane = LaneIn::new(stranger, 2, PAGES);
    lane.space()[..wire.len()].copy_from_slice(&wire);
    lane.filled(wire.len());
    assert!(lane.next(&Log::default()).unwrap_err().to_string().contains("carries it"));
}
