//! A guest that reads some pages and writes others: the record holds what it wrote.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use godwit_migration::{
    host::{HostError, PageBytes, PageSource},
    page::PageSet,
};

use super::{About, Rewrites, Trace, tape::mix};

const PAGES: u32 = 8192;
/// The pages from here on have no content when the record begins.
const FRESH: u32 = 7168;
const WORDS: usize = 512;

struct Guest(Mutex<Vec<[u64; WORDS]>>);

impl Guest {
    fn new() -> Self {
        Self(Mutex::new((0..PAGES).map(|page| [u64::from(page < FRESH); WORDS]).collect()))
    }

    /// Writes so many words of each page, and not what was there.
    fn write(&self, pages: &PageSet, words: usize, round: u64) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for page in pages.iter() {
            for (n, word) in memory[page as usize].iter_mut().take(words).enumerate() {
                *word = mix(round << 40 ^ u64::from(page) << 16 ^ n as u64);
            }
        }
    }
}

impl PageSource for Guest {
    fn pages(&self) -> u32 {
        PAGES
    }

    fn read(&self, page: u32, into: &mut PageBytes) {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (bytes, word) in into.chunks_exact_mut(8).zip(memory[page as usize]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }

    fn touched(&self, _: &mut PageSet) -> Result<(), HostError> {
        Ok(())
    }
}

fn set(pages: impl IntoIterator<Item = u32>) -> PageSet {
    let mut set = PageSet::empty(PAGES);
    pages.into_iter().for_each(|page| set.insert(page));
    set
}

/// Differences to pages: how many times smaller than a page, and how many times smaller still together.
struct Differences {
    ratio: Option<f64>,
    packed: f64,
}

/// Records intervals of which each has the pages that are only read and those of which so many words are written.
fn record(intervals: &[(PageSet, PageSet)], words: usize) -> (Trace, Differences) {
    let guest = Guest::new();
    let resident = set(0..FRESH);
    let mut trace = Trace::new(About::default(), Duration::from_millis(50), resident.clone()).unwrap();
    let mut rewrites = Rewrites::new(&guest, &resident);
    for (round, (read, written)) in (1..).zip(intervals) {
        guest.write(written, words, round);
        let mut dirty = read.clone();
        dirty.union(written);
        trace.push(&dirty);
        rewrites.harvested(&dirty);
    }
    rewrites.set_reads_apart(&mut trace);
    (trace, Differences { ratio: rewrites.delta_ratio(), packed: rewrites.packed_deltas() })
}

#[test]
fn what_was_only_read_is_set_apart() {
    let written = set(0..1024);
    let (trace, _) = record(&[(set(1024..3072), written.clone()), (set(3072..4096), written.clone())], 1);
    assert_eq!((trace.dirty(0), trace.read_only(0)), (written.clone(), set(1024..3072)));
    assert_eq!((trace.dirty(1), trace.read_only(1)), (written, set(3072..4096)));
}

#[test]
fn of_what_was_found_as_often_as_many_are_set_apart_as_were_read() {
    let (trace, _) = record(&[(set(0..3072), set(3072..4096)), (set([]), set(5000..6000))], 1);
    let kept = trace.dirty(0).count() + trace.dirty(1).count();
    assert!((1700..2300).contains(&kept), "{kept} of 5072, of which 2024 were written");
    assert_eq!(kept + trace.read_only(0).count() + trace.read_only(1).count(), 5096);
}

#[test]
fn a_page_that_was_read_and_then_written_is_written_once() {
    let pages = || set(0..2048);
    let (trace, _) = record(&[(pages(), set([])), (set([]), pages())], 1);
    assert_eq!((trace.dirty(0).count(), trace.dirty(1)), (0, pages()));
}

#[test]
fn what_is_always_found_and_what_had_no_content_stays() {
    let hot = |read| if read { (set(0..512), set([])) } else { (set([]), set(0..512)) };
    let (trace, _) = record(&[hot(true), hot(false), hot(false), hot(false)], 1);
    assert_eq!(trace.dirty(0).count(), 0, "found four times, the first of them by a look");
    let often: Vec<_> = (0..16).map(|n| hot(n == 0)).collect();
    assert_eq!(record(&often, 1).0.dirty(0).count(), 512, "found sixteen times");
    let fresh = set(FRESH..PAGES);
    let (trace, _) = record(&[(set(0..2048), fresh.clone())], 1);
    assert_eq!(trace.dirty(0), fresh, "nobody kept a copy of what was not there");
}

#[test]
fn differences_are_measured() {
    let twice = [(set([]), set(0..2048)), (set([]), set(0..2048))];
    let of = |words| record(&twice, words).1.ratio.unwrap();
    assert!(of(1) > 200.0, "{}", of(1));
    assert!((10.0..16.0).contains(&of(32)), "{}", of(32));
    assert!((of(WORDS) - 1.0).abs() < 0.01, "{}", of(WORDS));
    let nothing = record(&[(set(0..2048), set([]))], 1).1;
    assert_eq!((nothing.ratio, nothing.packed), (None, 1.0));
    // What is written is noise; where it is, and how much, is the same in page after page.
    for (words, least, most) in [(1, 1.5, 2.5), (32, 1.0, 1.1), (WORDS, 1.0, 1.0)] {
        let packed = record(&twice, words).1.packed;
        assert!((least..=most).contains(&packed), "{words} words: {packed}");
    }
}
