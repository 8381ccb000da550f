//! Hostile input: every decoder and whole lanes, fed mutations of a seed corpus (`tests/corpus`).
//!
//! Deterministic, so that a failure is found again. CI runs a few seconds' worth; a long run, and another one:
//!
//! ```text
//! GODWIT_FUZZ_ITERATIONS=10000000 GODWIT_FUZZ_SEED=7 cargo test --release -p godwit-migration --test fuzz
//! ```
//! After a change of the wire format, `GODWIT_FUZZ_WRITE=1` writes the corpus anew.

mod corpus;
mod handshake;
mod mutator;
mod sealed;
mod target;

use corpus::Corpus;
use godwit_migration::{
    codec::CODECS,
    error::LaneError,
    limits::{MAX_UNPACKED_BYTES, PAGE_BYTES},
    wire::{FRAME_HEADER_BYTES, FrameHeader, LaneIn},
};
use mutator::Mutator;
use target::{Held, PAGES, Target};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is '{text}', no number")))
}

fn each(seeds: &[Vec<u8>], iterations: u64, mut f: impl FnMut(Vec<u8>)) {
    let mut mutator = Mutator::new(number("GODWIT_FUZZ_SEED", 1));
    for _ in 0..number("GODWIT_FUZZ_ITERATIONS", iterations) {
        f(mutator.mutate(seeds));
    }
}

#[test]
fn decoders_refuse_or_fill_a_page_and_never_panic() {
    for row in CODECS {
        let seeds = Corpus::read(row.name);
        let mut decoder = (row.make)();
        let mut page = [0; PAGE_BYTES];
        for seed in &seeds {
            decoder.decode(1, seed, &Held, &mut page).expect("a seed is what an encoder wrote");
        }
        let mut refused = 0;
        each(&seeds, 20_000, |input| match decoder.decode(1, &input, &Held, &mut page) {
            Ok(()) => {}
            Err(LaneError::Protocol(_)) => refused += 1,
            Err(LaneError::Host(error)) => panic!("'{}' blames the host: {error}", row.name),
        });
        assert!(row.name == "dedup" || refused > 0, "nothing was refused of '{}'", row.name);
    }
}

/// Feeds a stream as a socket would.
fn receive(wire: &[u8], target: &Target) -> Result<bool, LaneError> {
    let mut lane = LaneIn::new(0, 1, PAGES);
    for mut piece in wire.chunks(50_000) {
        while !piece.is_empty() {
            let space = lane.space();
            assert!(!space.is_empty(), "a lane that wants bytes has room for them");
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            lane.filled(n);
            piece = &piece[n..];
            while lane.next(target)?.is_some() {}
        }
    }
    Ok(lane.at_end())
}

/// Streams as they are: the checksums refuse nearly all mutations, so none may leave a wrong page.
#[test]
fn streams_that_were_tampered_with_are_refused_and_leave_no_wrong_page() {
    let seeds = Corpus::read("lane");
    let whole: Vec<_> = seeds
        .iter()
        .map(|seed| {
            let target = Target::recording();
            assert!(receive(seed, &target).expect("a seed is what a lane wrote"));
            target.into_puts()
        })
        .collect();
    let mut mutator = Mutator::new(number("GODWIT_FUZZ_SEED", 2));
    for _ in 0..number("GODWIT_FUZZ_ITERATIONS", 400) {
        let at = mutator.below(seeds.len());
        let mut wire = seeds[at].clone();
        mutator.tamper(&mut wire);
        let target = Target::recording();
        if let Err(LaneError::Host(error)) = receive(&wire, &target) {
            panic!("a peer's fault is blamed on the host: {error}");
        }
        let puts = target.into_puts();
        assert!(whole[at].starts_with(&puts), "a page came that was not sent");
    }
}

/// Streams whose frames are sealed again after they were mutated: what is behind the checksums must hold by itself.
#[test]
fn frames_of_an_enemy_who_knows_checksums_are_refused_and_stay_in_the_guest() {
    let seeds = Corpus::read("lane");
    let frames: Vec<_> = seeds.iter().flat_map(|seed| sealed::frames(seed)).collect();
    assert!(frames.iter().all(|frame| frame.len() <= FRAME_HEADER_BYTES + MAX_UNPACKED_BYTES + 4096));
    let mut mutator = Mutator::new(number("GODWIT_FUZZ_SEED", 3));
    let target = Target::checking();
    let (mut refused, iterations) = (0, number("GODWIT_FUZZ_ITERATIONS", 4000));
    for _ in 0..iterations {
        let frame = mutator.frame(&frames);
        match receive(&frame, &target) {
            Ok(_) => {}
            Err(LaneError::Protocol(_)) => refused += 1,
            Err(LaneError::Host(error)) => panic!("a peer's fault is blamed on the host: {error}"),
        }
    }
    assert!(refused > iterations / 4, "{refused} of {iterations} were refused");
}

#[test]
fn headers_are_refused_or_within_the_guest() {
    let seeds = Corpus::read("lane");
    let headers: Vec<_> = seeds
        .iter()
        .flat_map(|seed| sealed::frames(seed))
        .map(|f| f[..FRAME_HEADER_BYTES].to_vec())
        .collect();
    each(&headers, 50_000, |mut input| {
        input.resize(FRAME_HEADER_BYTES, 0);
        let raw = input[..].try_into().expect("a header's length");
        if let Ok(header) = FrameHeader::decode(raw, PAGES)
            && header.kind == godwit_migration::wire::FrameKind::Pages
        {
            assert!(header.first + header.count <= PAGES);
        }
    });
}
