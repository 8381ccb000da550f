//! A trace made ready to be played: which pages are written several times within an interval, and which part of an
//! interval is which.
//!
//! An interval is cut into [`SLOTS`] slots. A page that is found dirty now and then was written once, in a slot that a
//! hash of page and interval names. A page that is found dirty in nearly every interval is written often: were its
//! writes independent at rate λ per interval, it would be missing from a share e^−λ of them, so what it is missing from
//! says λ, rounded to a power of two. That is a guess where the trace is coarse, and exact where a round is whole
//! intervals. All of it is done 64 pages at a time.

use godwit_migration::page::PageSet;

use super::{Interval, Span, Trace};

/// Slots of an interval: a power of two, [`SLOT_BITS`] of it.
pub(crate) const SLOTS: u32 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 4;
/// A page is written 2, 4 and in every slot of an interval where at most this share of the intervals lacks it: e^−1.5,
/// e^−3, and e^−5.
const RARER: [f64; 3] = [0.22, 0.05, 0.0067];

/// A trace that can be played, again and again.
#[derive(Clone, Debug)]
pub struct Tape {
    trace: Trace,
    /// Pages written at least twice, at least four times, and in every slot of an interval.
    often: [PageSet; 3],
    /// Pages with content that hold zeros until they are written.
    zeros: PageSet,
}

impl Tape {
    /// Makes `trace` ready. Takes a pass over all of it.
    #[must_use]
    pub fn new(trace: Trace) -> Self {
        let pages = trace.pages();
        let counts = trace.times_written();
        let all = trace.intervals().max(1) as f64;
        // With few intervals, being in all of them says little: it is missing from half an interval at least.
        let missing = |count: u32| ((all - f64::from(count)).max(0.5) / all).min(1.0);
        let often = RARER.map(|rarer| {
            let mut set = PageSet::empty(pages);
            (0..)
                .zip(&counts)
                .filter(|(_, n)| **n > 0 && missing(**n) <= rarer)
                .for_each(|(page, _)| set.insert(page));
            set
        });
        let mut zeros = PageSet::empty(pages);
        if trace.about.content.zero_share > 0.0 {
            let below = (trace.about.content.zero_share * u64::MAX as f64) as u64;
            let is_zero = |page: &u32| mix(u64::from(*page) ^ 0x5A5A) <= below;
            trace.resident().iter().filter(is_zero).for_each(|page| zeros.insert(page));
        }
        Self { trace, often, zeros }
    }

    /// The trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Pages with content that hold zeros until they are written.
    pub(crate) fn zeros(&self) -> &PageSet {
        &self.zeros
    }

    /// The interval of that number, counted on from the beginning again after the last.
    pub(crate) fn interval(&self, number: u64) -> Option<&Interval> {
        let all = self.trace.all();
        if all.is_empty() { None } else { all.get((number % all.len() as u64) as usize) }
    }

    /// The words of `span`, which is of the interval of that number, that are written in its slots from `from` up to
    /// `to`. What slots find together is what the whole interval holds.
    pub(crate) fn slots(&self, span: &Span, interval: u64, from: u32, to: u32, into: &mut Vec<u64>) {
        into.clear();
        if from == 0 && to == SLOTS {
            into.extend_from_slice(&span.words);
            return;
        }
        let often = self.often.each_ref().map(PageSet::words);
        for (at, &word) in (span.first as usize..).zip(&span.words) {
            if word == 0 {
                into.push(0);
                continue;
            }
            let slots = slot_bits(at as u64, interval);
            let mut found = between(&slots, from, to);
            for (often, period_bits) in often.iter().zip([SLOT_BITS - 1, SLOT_BITS - 2, 0]) {
                if often[at] & word != 0 {
                    found |= often[at] & every_so(&slots, period_bits, from, to);
                }
            }
            into.push(found & word);
        }
    }
}

/// The slot numbers of the 64 pages of a word, one word for each bit of them, lowest first.
fn slot_bits(word: u64, interval: u64) -> [u64; SLOT_BITS as usize] {
    let seed = mix(word ^ interval.rotate_left(32));
    [1, 2, 3, 4].map(|n| mix(seed.wrapping_add(n)))
}

/// Which of 64 slot numbers are from `from` up to `to`.
fn between(bits: &[u64], from: u32, to: u32) -> u64 {
    below(bits, to) & !below(bits, from)
}

/// Which of 64 numbers, given by their bits, are below `limit`.
fn below(bits: &[u64], limit: u32) -> u64 {
    if limit >> bits.len() != 0 {
        return !0;
    }
    let (mut less, mut equal) = (0, !0);
    for (n, bit) in bits.iter().enumerate().rev() {
        if limit >> n & 1 == 1 {
            less |= equal & !bit;
            equal &= bit;
        } else {
            equal &= !bit;
        }
    }
    less
}

/// Which of 64 pages are written from `from` up to `to` where each is written every 2^`bits` slots.
fn every_so(slots: &[u64], bits: u32, from: u32, to: u32) -> u64 {
    let period = 1 << bits;
    if to - from >= period {
        return !0;
    }
    let slots = &slots[..bits as usize];
    let (from, to) = (from % period, to % period);
    if from <= to { between(slots, from, to) } else { below(slots, to) | !below(slots, from) }
}

/// SplitMix64's finalizer.
pub(super) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
