//! A trace file gives back what was written, and says by name what is wrong with any other.

use std::time::Duration;

use godwit_migration::page::PageSet;
use proptest::prelude::*;

use super::{
    About, Content, Slower, Trace,
    file::{MAGIC, TraceError, VERSION},
};

fn set(pages: &[u32]) -> PageSet {
    let mut set = PageSet::empty(640);
    pages.iter().for_each(|&page| set.insert(page));
    set
}

fn sample() -> Trace {
    let about = About {
        guest: "a guest".into(),
        workload: "work".into(),
        vcpus: 2,
        writers: 1,
        content: Content {
            zero_share: 0.25,
            ratio: 2.5,
            delta_ratio: 9.0,
            zstd_bytes_per_s: 2e8,
            slower: [3.0, 3.1, 3.2].map(|ratio| Slower { ratio, bytes_per_s: 5e7 }),
            packed_deltas: 4.0,
        },
    };
    let mut trace = Trace::new(about, Duration::from_millis(100), set(&[0, 5, 63, 64, 639])).unwrap();
    [&[][..], &[5, 70, 71], &[0, 5, 639]].iter().for_each(|pages| trace.push(&set(pages)));
    trace.firsts_are_reads(|page, times| page == 5 && times == 2);
    trace
}

fn bytes() -> Vec<u8> {
    let mut bytes = vec![];
    sample().write(&mut bytes).unwrap();
    bytes
}

fn error(bytes: &[u8]) -> String {
    Trace::read(bytes).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read() {
    let trace = Trace::read(&bytes()[..]).unwrap();
    assert_eq!(trace, sample());
    assert_eq!(trace.dirty(1).iter().collect::<Vec<_>>(), [70, 71]);
    assert_eq!(trace.read_only(1).iter().collect::<Vec<_>>(), [5]);
    assert_eq!(trace.dirty(2).iter().collect::<Vec<_>>(), [0, 5, 639]);
    assert_eq!((trace.working_set_pages(), trace.length()), (5, Duration::from_millis(300)));
    assert!((trace.dirty_pages_per_s() - 5.0 / 0.3).abs() < 1e-9);
}

#[test]
fn a_file_cut_short_anywhere_is_refused_as_such() {
    let bytes = bytes();
    for length in 0..bytes.len() {
        let error = Trace::read(&bytes[..length]).unwrap_err();
        let as_expected = match length {
            0..8 => matches!(error, TraceError::NotATrace),
            _ => matches!(error, TraceError::Truncated { .. }),
        };
        assert!(as_expected, "{length} of {}: {error}", bytes.len());
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = bytes();
    bytes[8] = 9;
    assert_eq!(error(&bytes), format!("it is a trace of version 9; this build reads version {VERSION}"));
    assert!(error(b"PNG and more").contains("no dirty trace"));
}

/// A file with this body.
fn with(body: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes(), &zstd::bulk::compress(body, 1).unwrap()].concat()
}

fn with_header(pages: u32, interval_us: u64, intervals: u32, rest: &[u8]) -> Vec<u8> {
    let header = postcard::to_stdvec(&(pages, interval_us, intervals, About::default())).unwrap();
    with(&[&(header.len() as u32).to_le_bytes(), &header[..], rest].concat())
}

#[test]
fn a_header_that_announces_too_much_is_refused_before_anything_is_allocated() {
    assert!(error(&with(&u32::MAX.to_le_bytes())).contains("a header of 4294967295 bytes"));
    let header = |pages, interval_us, intervals| error(&with_header(pages, interval_us, intervals, &[0; 8]));
    assert!(header(u32::MAX, 1000, 1).contains("'pages' is 4294967295"));
    assert!(header(65, 1000, 1).contains("'pages' is 65; it must be a multiple of 64"));
    assert!(header(64, 10, 1).contains("'interval' is 10µs"));
    assert!(header(64, 1000, u32::MAX).contains("'intervals' is 4294967295"));
    assert!(header(64, 1000, 1).contains("cut short"));
}

#[test]
fn a_span_beyond_the_guest_is_refused() {
    let span = [1u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
    assert!(error(&with_header(64, 1000, 0, &span)).contains("the words 1+1 of a bitmap of 1"));
    let huge = [0u32.to_le_bytes(), (1u32 << 22).to_le_bytes()].concat();
    assert!(
        error(&with_header(1 << 28, 1000, 0, &huge)).contains("cut short"),
        "and nothing was allocated for it"
    );
}

#[test]
fn more_after_the_end_is_refused() {
    let bytes = [bytes(), zstd::bulk::compress(&[0; 1], 1).unwrap()].concat();
    assert!(error(&bytes).contains("more after the last interval"));
}

proptest! {
    /// Whatever is flipped: an error, or a bit that says nothing; never a panic, and never another trace.
    #[test]
    fn a_damaged_file_is_an_error(at in 0usize..400, bit in 0u8..8) {
        let mut bytes = bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(Trace::read(&bytes[..]).map_or(true, |trace| trace == sample()));
    }
}
