//! Run-length coding: words that repeat the word before them are counted, the others are written. The word before the
//! first is zero, so runs of zeros at the start cost nothing either.

use super::{
    Codec, CodecRow, Coded, Held, refused,
    runs::{self, Fresh, WORD, WORDS},
};
use crate::{error::LaneError, host::PageBytes, limits::PAGE_BYTES};

pub(super) const ROW: CodecRow =
    CodecRow { name: "rle", wire_id: 3, page_bytes: None, make: || Box::new(Rle) };

/// A page with more words than this that do not repeat is left to others: it would shrink by less than an eighth.
const MOST_FRESH: u32 = (WORDS - WORDS / 8) as u32;
/// Pairs of words that are looked at first: where none of them repeats, hardly a page is worth more.
const LOOKS: usize = 32;

pub(super) struct Rle;

impl Codec for Rle {
    fn encode(&mut self, _: u32, bytes: &PageBytes, out: &mut Vec<u8>) -> Coded {
        let repeats = |at: usize| bytes[at..at + WORD] == bytes[at + WORD..at + 2 * WORD];
        if !(0..LOOKS).any(|look| repeats(look * PAGE_BYTES / LOOKS)) {
            return Coded::Declined;
        }
        let first = bytes[..WORD] != [0; WORD];
        let fresh = Fresh::against(&bytes[WORD..], &bytes[..PAGE_BYTES - WORD]).behind(first);
        if fresh.count() > MOST_FRESH {
            return Coded::Declined;
        }
        fresh.put(bytes, out);
        Coded::Used(ROW.wire_id)
    }

    fn decode(
        &mut self,
        _: u32,
        payload: &[u8],
        _: &dyn Held,
        bytes: &mut PageBytes,
    ) -> Result<(), LaneError> {
        let repeat = |page: &mut PageBytes, from: usize, to: usize| {
            let mut word = [0; WORD];
            if from > 0 {
                word.copy_from_slice(&page[from - WORD..from]);
            }
            page[from..to].chunks_exact_mut(WORD).for_each(|at| at.copy_from_slice(&word));
        };
        runs::get(payload, bytes, repeat).ok_or_else(|| refused(ROW.name, "whose runs are not a page"))
    }
}
