//! Dirty traces: which pages a guest wrote, interval by interval, and what kind of content it has.
//!
//! A trace is recorded of a running guest or made up ([`synth`]); [`mod@file`] is how it stands on a disk, and
//! [`crate::replay`] plays migrations of it. It says nothing of how often a page was written within an interval, nor
//! in which order; [`Tape`] guesses that from how regularly the page is found dirty.

pub mod file;
mod rewrites;
mod sample;
pub mod synth;
pub(crate) mod tape;

#[cfg(test)]
mod file_test;
#[cfg(test)]
mod rewrites_test;
#[cfg(test)]
mod sample_test;
#[cfg(test)]
mod synth_test;
#[cfg(test)]
mod tape_test;

use std::time::Duration;

use godwit_migration::{page::PageSet, wire::LEVELS};
use serde::{Deserialize, Serialize};

pub use self::{rewrites::Rewrites, sample::Sampler, tape::Tape};

/// Bytes that a core may be said to compress in a second.
const RATES: (f64, f64) = (0.0, 1e12);
/// How many times smaller a page, or what is made of it, can become.
const RATIOS: (f64, f64) = (1.0, 4096.0);

/// What the pages of a guest hold, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Share of the pages with content, 0 to 1, that hold zeros until they are written.
    pub zero_share: f64,
    /// How many times smaller zstd at level 1 makes a page that is not zeros, at least 1.
    pub ratio: f64,
    /// How many times smaller a page is as a delta against its last copy, at least 1.
    pub delta_ratio: f64,
    /// How many bytes of such pages a core of the guest's host compresses in a second with zstd at level 1; 0 where nobody
    /// measured it.
    pub zstd_bytes_per_s: f64,
    /// The same two at the higher of [`LEVELS`], 3, 6 and 9, which a lane takes for a link that is slow enough.
    pub slower: [Slower; SLOWER],
    /// How many times smaller deltas become when zstd compresses them together, at least 1.
    pub packed_deltas: f64,
}

/// Levels of zstd above the first that a lane takes.
pub const SLOWER: usize = LEVELS.len() - 1;

/// What zstd does at one of the higher levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slower {
    /// How many times smaller a page becomes that is not zeros, at least 1.
    pub ratio: f64,
    /// Bytes of pages that a core compresses in a second; 0 where nobody measured it.
    pub bytes_per_s: f64,
}

impl Default for Content {
    /// Text-like pages, of which small parts are written at a time.
    fn default() -> Self {
        Self {
            zero_share: 0.0,
            ratio: 2.7,
            delta_ratio: 20.0,
            zstd_bytes_per_s: 0.0,
            slower: [Slower { ratio: 2.7, bytes_per_s: 0.0 }; SLOWER],
            packed_deltas: 1.0,
        }
    }
}

impl Content {
    /// Whether it can be.
    ///
    /// # Errors
    /// The field, what it holds and what it may hold.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.zero_share) {
            return Err(format!("'zero_share' is {}; it must be a number from 0 to 1", self.zero_share));
        }
        let slower = self.slower.iter().flat_map(|level| {
            [("slower.ratio", level.ratio, RATIOS), ("slower.bytes_per_s", level.bytes_per_s, RATES)]
        });
        let others = [
            ("ratio", self.ratio, RATIOS),
            ("delta_ratio", self.delta_ratio, RATIOS),
            ("zstd_bytes_per_s", self.zstd_bytes_per_s, RATES),
            ("packed_deltas", self.packed_deltas, RATIOS),
        ];
        for (name, number, (least, most)) in others.into_iter().chain(slower) {
            if !(least..=most).contains(&number) {
                return Err(format!("'{name}' is {number}; it must be a number from {least} to {most}"));
            }
        }
        Ok(())
    }
}

/// What a trace is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The guest, in words.
    pub guest: String,
    /// What it was doing, in words.
    pub workload: String,
    /// Its vCPUs.
    pub vcpus: u8,
    /// Of these, how many write.
    pub writers: u8,
    /// What its pages hold.
    pub content: Content,
}

/// The pages written in one interval: words of a bitmap as [`PageSet`] has them, from the word `first` on; all others
/// are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u32,
    pub(crate) words: Vec<u64>,
}

impl Span {
    /// The part of a bitmap that is not zero.
    fn of(words: &[u64]) -> Self {
        Self::from(0, words)
    }

    /// The part that is not zero of a bitmap's words from `start` on.
    fn from(start: u32, words: &[u64]) -> Self {
        let Some(first) = words.iter().position(|&word| word != 0) else { return Self::default() };
        let last = words.iter().rposition(|&word| word != 0).unwrap_or(first);
        Self { first: start + first as u32, words: words[first..=last].to_vec() }
    }

    /// Pages in it.
    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Page number of its lowest bit.
    pub(crate) fn first_page(&self) -> u32 {
        self.first * 64
    }
}

/// An interval of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Interval {
    pub(crate) written: Span,
    /// Pages that were found dirty, and only read: what a migration meets once, see [`rewrites`].
    pub(crate) read: Span,
}

/// A recorded or made-up dirty trace. Memory: at most two bits a page and interval, and only from the first to the last
/// page that was written, or read, in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What it is of.
    pub about: About,
    interval: Duration,
    /// Pages with content when the trace begins.
    resident: PageSet,
    intervals: Vec<Interval>,
}

impl Trace {
    /// A trace without an interval yet, of a guest whose `resident` pages have content.
    ///
    /// # Errors
    /// An interval or a guest beyond the [limits](mod@file) of a trace, by name.
    pub fn new(about: About, interval: Duration, resident: PageSet) -> Result<Self, String> {
        about.content.check()?;
        file::check_interval(interval)?;
        file::check_pages(resident.pages())?;
        Ok(Self { about, interval, resident, intervals: vec![] })
    }

    /// The same with intervals of another length: of a recording, whose host took longer than it was asked to.
    ///
    /// # Errors
    /// An interval beyond the [limits](mod@file) of a trace.
    pub fn with_interval(self, interval: Duration) -> Result<Self, String> {
        file::check_interval(interval)?;
        Ok(Self { interval, ..self })
    }

    /// Adds an interval, in which these pages were written.
    pub fn push(&mut self, dirty: &PageSet) {
        self.intervals.push(Interval { written: Span::of(dirty.words()), read: Span::default() });
    }

    /// Pages of the guest.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.resident.pages()
    }

    /// Length of an interval, in the guest's own time.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Number of intervals.
    #[must_use]
    pub fn intervals(&self) -> usize {
        self.intervals.len()
    }

    /// Guest time that it covers.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.interval.saturating_mul(u32::try_from(self.intervals.len()).unwrap_or(u32::MAX))
    }

    /// Pages with content when it begins.
    #[must_use]
    pub fn resident(&self) -> &PageSet {
        &self.resident
    }

    /// The pages written in the interval of that number, which is below [`Trace::intervals`].
    #[must_use]
    pub fn dirty(&self, interval: usize) -> PageSet {
        self.set_of(self.intervals.get(interval).map(|interval| &interval.written))
    }

    /// The pages that were found dirty in that interval, and only read: each in one.
    #[must_use]
    pub fn read_only(&self, interval: usize) -> PageSet {
        self.set_of(self.intervals.get(interval).map(|interval| &interval.read))
    }

    fn set_of(&self, span: Option<&Span>) -> PageSet {
        let mut pages = PageSet::empty(self.pages());
        span.iter().for_each(|span| pages.union_words(span.first_page(), &span.words));
        pages
    }

    /// Pages written in the intervals, one after the other.
    fn written(&self) -> impl Iterator<Item = &Span> {
        self.intervals.iter().map(|interval| &interval.written)
    }

    /// Pages written in each interval.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.written().map(Span::count)
    }

    /// Distinct pages written in an interval, per second of guest time, on average.
    #[must_use]
    pub fn dirty_pages_per_s(&self) -> f64 {
        let seconds = self.length().as_secs_f64();
        if seconds > 0.0 { self.counts().sum::<u64>() as f64 / seconds } else { 0.0 }
    }

    /// Pages written at least once.
    #[must_use]
    pub fn working_set_pages(&self) -> u32 {
        let mut all = PageSet::empty(self.pages());
        self.written().for_each(|span| all.union_words(span.first_page(), &span.words));
        all.count()
    }

    /// In how many intervals each page was written.
    pub(crate) fn times_written(&self) -> Vec<u32> {
        let mut times = vec![0u32; self.pages() as usize];
        for span in self.written() {
            let pages = span.words.iter().zip(times[span.first_page() as usize..].chunks_mut(64));
            for (&word, times) in pages {
                bits(word).for_each(|bit| times[bit as usize] += 1);
            }
        }
        times
    }

    /// The first interval of each page with content is one in which it was only read, where `which` says so, by its number
    /// and in how many intervals it is.
    pub(crate) fn firsts_are_reads(&mut self, which: impl Fn(u32, u32) -> bool) {
        let times = self.times_written();
        let mut left = self.resident.clone();
        for Interval { written, read } in &mut self.intervals {
            let mut reads = written.clone();
            let first_page = written.first_page();
            let pages = (first_page..).step_by(64).zip(&mut written.words);
            for ((page, written), read) in pages.zip(&mut reads.words) {
                *read = 0;
                for bit in bits(*written & left.words()[page as usize / 64]) {
                    left.remove(page + bit);
                    *read |= u64::from(which(page + bit, times[(page + bit) as usize])) << bit;
                }
                *written &= !*read;
            }
            *read = Span::from(reads.first, &reads.words);
        }
    }

    /// All intervals, in order.
    pub(crate) fn all(&self) -> &[Interval] {
        &self.intervals
    }
}

/// The numbers of the bits that are set, from the lowest.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}
