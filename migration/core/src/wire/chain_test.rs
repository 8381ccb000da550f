//! Whole lanes in every encoding: guests that write between rounds, and a target whose memory must be the same.

use std::{sync::Mutex, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    codec::Encoding,
    host::{HostError, PageBytes, PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
};

const PAGES: u32 = 600;

/// Every part at least once, with tables that are too small for the guest.
const ENCODINGS: [&str; 9] = [
    "none",
    "zero",
    "zero,rle",
    "zero,xbzrle,cache=1",
    "zero,dedup,cache=1",
    "adaptive",
    "zero,rle,zstd,level=-5",
    "zero,xbzrle,cache=1,dedup,cache=2,rle,zstd,level=7",
    "auto,cache=1",
];

struct Memory(Mutex<Vec<PageBytes>>);

impl Memory {
    fn new() -> Self {
        Self(Mutex::new(vec![[0; PAGE_BYTES]; PAGES as usize]))
    }
}

impl PageSource for Memory {
    fn pages(&self) -> u32 {
        PAGES
    }
    fn read(&self, page: u32, into: &mut PageBytes) {
        *into = self.0.lock().unwrap()[page as usize];
    }
    fn touched(&self, into: &mut PageSet) -> Result<(), HostError> {
        into.union(&PageSet::full(PAGES));
        Ok(())
    }
}

impl PageSink for Memory {
    fn pages(&self) -> u32 {
        PAGES
    }
    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        self.0.lock().unwrap()[page as usize] = *bytes;
        Ok(())
    }
    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError> {
        *into = self.0.lock().unwrap()[page as usize];
        Ok(())
    }
    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        self.put(page, &[0; PAGE_BYTES])
    }
}

/// What the guest does to a run of pages between two rounds.
#[derive(Clone, Debug)]
enum Write {
    Word(usize, u64),
    Fill(u8),
    Noise(u64),
    CopyOf(u32),
}

fn writes() -> impl Strategy<Value = Vec<(u32, u32, Write)>> {
    let write = prop_oneof![
        (0..PAGE_BYTES / 8, any::<u64>()).prop_map(|(at, word)| Write::Word(at, word)),
        prop_oneof![Just(0u8), any::<u8>()].prop_map(Write::Fill),
        any::<u64>().prop_map(Write::Noise),
        (0..PAGES).prop_map(Write::CopyOf),
    ];
    proptest::collection::vec((0..PAGES, 1u32..200, write), 0..8)
}

fn apply(memory: &Memory, round: &[(u32, u32, Write)]) -> PageSet {
    let mut dirty = PageSet::empty(PAGES);
    let mut pages = memory.0.lock().unwrap();
    for (first, count, write) in round {
        for page in *first..(first + count).min(PAGES) {
            let old = pages[page as usize];
            pages[page as usize] = match *write {
                Write::Word(at, word) => {
                    let mut new = old;
                    new[at * 8..at * 8 + 8].copy_from_slice(&(word ^ u64::from(page)).to_le_bytes());
                    new
                }
                Write::Fill(byte) => [byte; PAGE_BYTES],
                Write::Noise(seed) => {
                    let mut x = seed ^ u64::from(page) << 32 | 1;
                    std::array::from_fn(|_| {
                        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (x >> 56) as u8
                    })
                }
                Write::CopyOf(other) => pages[other as usize],
            };
            dirty.insert(page);
        }
    }
    dirty
}

/// How long a link takes of 10 MB/s, so that `auto` compresses, or of none, and what waits in front of it.
fn link(slow: bool, bytes: usize) -> (Duration, Backlog) {
    if slow {
        (
            Duration::from_secs_f64(bytes as f64 / 10e6),
            Backlog { queued: 1 << 20, before: 1 << 20, ..Backlog::default() },
        )
    } else {
        (Duration::ZERO, Backlog::default())
    }
}

/// Sends the rounds; the stream, and the pages by encoding.
fn send(
    encoding: &str,
    slow: bool,
    memory: &Memory,
    rounds: &[Vec<(u32, u32, Write)>],
) -> (Vec<u8>, LaneTotals) {
    let mut out = LaneOut::new(&Encoding::parse(encoding).unwrap());
    let (mut wire, mut sum) = (vec![], LaneTotals::default());
    for (writes, n) in rounds.iter().zip(1..) {
        let dirty = apply(memory, writes);
        let last = n as usize == rounds.len();
        out.begin_round(n, last);
        let mut put = |out: &mut LaneOut| {
            let bytes = out.take();
            wire.extend_from_slice(bytes);
            let (write, backlog) = link(slow, bytes.len());
            out.spent(Duration::from_micros(100), write, backlog);
        };
        for page in dirty.runs_in(0..PAGES).flatten() {
            if out.page(page, memory) {
                put(&mut out);
            }
        }
        sum.add(&out.end_round(last));
        put(&mut out);
    }
    assert_eq!(sum.wire_bytes, wire.len() as u64);
    assert_eq!(sum.pages, sum.by_codec.iter().sum::<u64>());
    (wire, sum)
}

/// Feeds a stream in pieces; whether it ended where it may.
fn receive(wire: &[u8], step: usize, sink: &Memory) -> Result<bool, LaneError> {
    let mut lane = LaneIn::new(0, 1, PAGES);
    for mut piece in wire.chunks(step) {
        while !piece.is_empty() {
            let space = lane.space();
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            lane.filled(n);
            piece = &piece[n..];
            while lane.next(sink)?.is_some() {}
        }
    }
    Ok(lane.at_end())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn memory_arrives_in_every_encoding(
        rounds in proptest::collection::vec(writes(), 1..5),
        step in 1000usize..200_000,
        slow: bool,
    ) {
        for encoding in ENCODINGS {
            let (source, target) = (Memory::new(), Memory::new());
            let (wire, _) = send(encoding, slow, &source, &rounds);
            prop_assert!(receive(&wire, step, &target).unwrap(), "{}", encoding);
            prop_assert!(*source.0.lock().unwrap() == *target.0.lock().unwrap(), "{}", encoding);
        }
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_an_error_in_every_encoding(
        rounds in proptest::collection::vec(writes(), 1..3),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        for encoding in ENCODINGS {
            let (mut wire, _) = send(encoding, true, &Memory::new(), &rounds);
            let at = at.index(wire.len());
            prop_assert!(!receive(&wire[..at], 9000, &Memory::new()).unwrap(), "{} was cut", encoding);
            wire[at] ^= 1 << bit;
            let outcome = receive(&wire, 9000, &Memory::new());
            prop_assert!(!matches!(outcome, Ok(true)), "{}", encoding);
        }
    }
}

/// Fills all pages with words of 3 kinds, without zero pages.
fn filled() -> Vec<(u32, u32, Write)> {
    (0..PAGES).map(|page| (page, 1, Write::Noise(u64::from(page)))).collect()
}

#[test]
fn each_part_takes_the_pages_that_are_its_own() {
    let word = vec![(0, PAGES, Write::Word(9, 77))];
    let copies = vec![(100, 100, Write::CopyOf(3))];
    let runs = vec![(0, 50, Write::Fill(9)), (50, 50, Write::Fill(0))];
    let count = |encoding: &str, slow, rounds: &[Vec<_>], by: &str| {
        let (_, totals) = send(encoding, slow, &Memory::new(), rounds);
        let id = crate::codec::reported().find(|(name, _)| *name == by).unwrap().1;
        totals.by_codec[usize::from(id)]
    };
    let end = vec![];
    assert_eq!(count("xbzrle", false, &[filled(), word.clone(), end.clone()], "xbzrle"), 600);
    assert_eq!(count("dedup", false, &[filled(), copies, end.clone()], "dedup"), 100);
    assert_eq!(count("zero,rle", false, &[runs.clone(), end.clone()], "rle"), 50);
    assert_eq!(count("zero,rle", false, &[runs.clone(), end.clone()], "zero"), 50);
    assert_eq!(count("zstd", false, &[filled(), end.clone()], "zstd"), 600, "always means always");
    assert_eq!(count("auto", false, &[filled(), word.clone(), end.clone()], "xbzrle"), 0, "the link is fast");
    assert!(count("auto", true, &[filled(), word, end.clone()], "xbzrle") > 300, "the link is slow");
    assert_eq!(count("none", false, &[runs.clone(), end], "rle"), 0);
    assert_eq!(count("none", false, &[runs], "rle"), 100, "the last round is coded whatever the others were");
}

#[test]
fn the_last_round_is_packed_where_the_link_is_known_to_be_slow() {
    let ramp = |seed: u64| {
        (0..PAGES).map(|page| (page, 1, Write::Word(page as usize % 512, seed))).collect::<Vec<_>>()
    };
    let packed = |slow| {
        let (_, totals) = send("none", slow, &Memory::new(), &[filled(), ramp(1)]);
        totals.by_codec[usize::from(crate::codec::PACKED)]
    };
    assert_eq!(packed(false), 0);
    assert!(packed(true) > 0);
}
