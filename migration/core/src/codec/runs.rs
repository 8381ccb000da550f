//! Words of a page that are kept and words that are new, as runs: what `rle` and `xbzrle` put on the wire.
//!
//! A payload is pairs of numbers (LEB128, at most two bytes): so many words kept, then so many new ones, whose bytes
//! follow. Together they are all 512 words of the page, so a payload cut short is always told. A word has 8 bytes:
//! memory is written by words, and a word is compared at once.

use crate::{host::PageBytes, limits::PAGE_BYTES};

/// Bytes of a word.
pub(super) const WORD: usize = 8;
/// Words of a page.
pub(super) const WORDS: usize = PAGE_BYTES / WORD;
/// Words that are looked at together: whether all of them are kept is one vector comparison.
const GROUP: usize = 64;

/// Which words are new: a bit each.
#[derive(Default)]
pub(super) struct Fresh([u64; WORDS / GROUP]);

impl Fresh {
    /// The words of `page` that are not those of `old`, of which there may be fewer.
    pub(super) fn against(page: &[u8], old: &[u8]) -> Self {
        let mut fresh = Self::default();
        let groups = page.chunks(GROUP * WORD).zip(old.chunks(GROUP * WORD));
        for (bits, (page, old)) in fresh.0.iter_mut().zip(groups) {
            if page == old {
                continue;
            }
            let words = page.chunks_exact(WORD).zip(old.chunks_exact(WORD));
            *bits = words.enumerate().fold(0, |bits, (at, (new, old))| bits | u64::from(new != old) << at);
        }
        fresh
    }

    /// The same, moved up by one word; the first word is new where `first` says so.
    pub(super) fn behind(mut self, first: bool) -> Self {
        let mut carry = u64::from(first);
        for bits in &mut self.0 {
            (*bits, carry) = (*bits << 1 | carry, *bits >> 63);
        }
        self
    }

    /// How many words are new.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|bits| bits.count_ones()).sum()
    }

    /// Length of the run of words from `at` on that are all new, or all kept.
    fn run(&self, at: usize, new: bool) -> usize {
        let mut end = at;
        while end < WORDS {
            let bits = if new { !self.0[end / GROUP] } else { self.0[end / GROUP] };
            let rest = bits >> (end % GROUP);
            if rest != 0 {
                return end + rest.trailing_zeros() as usize - at;
            }
            end = (end / GROUP + 1) * GROUP;
        }
        WORDS - at
    }

    /// Writes the runs of `page`.
    pub(super) fn put(&self, page: &PageBytes, out: &mut Vec<u8>) {
        let mut at = 0;
        while at < WORDS {
            let kept = self.run(at, false);
            at += kept;
            let new = self.run(at, true);
            put_number(out, kept);
            put_number(out, new);
            out.extend_from_slice(&page[at * WORD..(at + new) * WORD]);
            at += new;
        }
    }
}

/// Reads runs into `page`; `keep(page, from, to)` fills the bytes of words that are kept. `None`: no encoder wrote it.
pub(super) fn get(
    mut payload: &[u8],
    page: &mut PageBytes,
    mut keep: impl FnMut(&mut PageBytes, usize, usize),
) -> Option<()> {
    let mut at = 0;
    while at < PAGE_BYTES {
        let kept = get_number(&mut payload)? * WORD;
        let new = get_number(&mut payload)? * WORD;
        if kept + new == 0 || kept + new > PAGE_BYTES - at {
            return None;
        }
        keep(page, at, at + kept);
        at += kept;
        let (bytes, rest) = payload.split_at_checked(new)?;
        page[at..at + new].copy_from_slice(bytes);
        payload = rest;
        at += new;
    }
    payload.is_empty().then_some(())
}

fn put_number(out: &mut Vec<u8>, n: usize) {
    if n < 0x80 {
        out.push(n as u8);
    } else {
        out.extend_from_slice(&[n as u8 | 0x80, (n >> 7) as u8]);
    }
}

fn get_number(payload: &mut &[u8]) -> Option<usize> {
    let (&low, rest) = payload.split_first()?;
    *payload = rest;
    if low < 0x80 {
        return Some(usize::from(low));
    }
    let (&high, rest) = payload.split_first()?;
    *payload = rest;
    Some(usize::from(low & 0x7f) | usize::from(high) << 7)
}
