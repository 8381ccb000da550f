//! What every registered codec must do: give back what it took, and refuse what no encoder writes.

use proptest::prelude::*;

use super::*;
use crate::limits::PAGE_BYTES;

/// Incompressible bytes.
pub(super) fn noise(seed: u64) -> PageBytes {
    let mut x = seed | 1;
    std::array::from_fn(|_| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (x >> 56) as u8
    })
}

/// Words of a small vocabulary.
pub(super) fn text(seed: u64) -> PageBytes {
    let words = ["pre-copy ", "of ", "a ", "running ", "guest, ", "page ", "after ", "the dirty\n", "log "];
    let mut draws = noise(seed).into_iter().cycle();
    let mut text = String::new();
    while text.len() < PAGE_BYTES {
        text += words[usize::from(draws.next().unwrap_or(0)) % words.len()];
    }
    std::array::from_fn(|at| text.as_bytes()[at])
}

/// Memory at the target: every page holds the same.
pub(super) struct Holding(pub(super) PageBytes);

impl Held for Holding {
    fn read(&self, _: u32, into: &mut PageBytes) -> Result<(), LaneError> {
        *into = self.0;
        Ok(())
    }
}

fn page() -> impl Strategy<Value = PageBytes> {
    let sparse = proptest::collection::vec((0..PAGE_BYTES, any::<u8>()), 0..4);
    let runs = proptest::collection::vec((0..PAGE_BYTES / 8, any::<u8>()), 0..90);
    prop_oneof![
        sparse.prop_map(|writes| {
            let mut page = [0; PAGE_BYTES];
            writes.into_iter().for_each(|(at, byte)| page[at] = byte);
            page
        }),
        runs.prop_map(|runs| {
            let mut page = [0; PAGE_BYTES];
            runs.into_iter().for_each(|(at, byte)| page[at * 8..].fill(byte));
            page
        }),
        any::<u64>().prop_map(noise),
        any::<u64>().prop_map(text),
    ]
}

/// A page, and a successor with some words changed.
fn versions() -> impl Strategy<Value = (PageBytes, PageBytes)> {
    let writes = prop_oneof![
        proptest::collection::vec((0..PAGE_BYTES / 8, any::<u64>()), 0..8),
        proptest::collection::vec((0..PAGE_BYTES / 8, any::<u64>()), 100..700),
    ];
    (page(), writes).prop_map(|(old, writes)| {
        let mut new = old;
        writes
            .into_iter()
            .for_each(|(at, word)| new[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes()));
        (old, new)
    })
}

proptest! {
    #[test]
    fn what_a_codec_takes_it_gives_back((old, new) in versions()) {
        for row in CODECS {
            let mut coder = (row.make)();
            coder.sent(7, &old, RAW, true);
            let mut out = vec![];
            let coded = coder.encode(7, &new, &mut out);
            if coded == Coded::Declined {
                prop_assert!(out.is_empty(), "{} declined and wrote", row.name);
                continue;
            }
            prop_assert_eq!(coded, Coded::Used(row.wire_id));
            prop_assert!(row.page_bytes.is_none_or(|bytes| bytes == out.len()));
            prop_assert!(row.wire_id == RAW || out.len() < PAGE_BYTES, "{} grew the page", row.name);
            let held = Holding(old);
            let mut back = [0xaa; PAGE_BYTES];
            (row.make)().decode(7, &out, &held, &mut back).unwrap();
            prop_assert!(back == new, "{}", row.name);
            for cut in [0, out.len() / 2, out.len().saturating_sub(1)] {
                if cut < out.len() {
                    let truncated = (row.make)().decode(7, &out[..cut], &held, &mut back);
                    prop_assert!(truncated.is_err(), "{} took a truncated page", row.name);
                }
            }
        }
    }

    #[test]
    fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..5000)) {
        for row in CODECS {
            let _ = (row.make)().decode(0, &garbage, &Holding([0; PAGE_BYTES]), &mut [0; PAGE_BYTES]);
        }
    }
}

#[test]
fn zero_takes_exactly_the_zero_page() {
    let zero = |page: &PageBytes| (by_name("zero").unwrap().make)().encode(0, page, &mut vec![]);
    assert_eq!(zero(&[0; PAGE_BYTES]), Coded::Used(ZERO));
    for at in [0, 63, 64, 127, 128, 511, 512, PAGE_BYTES - 1] {
        let mut page = [0; PAGE_BYTES];
        page[at] = 1;
        assert_eq!(zero(&page), Coded::Declined, "byte {at}");
    }
}

#[test]
fn rle_takes_what_repeats_and_leaves_what_would_not_shrink() {
    let length = |page: &PageBytes| {
        let mut out = vec![];
        (by_name("rle").unwrap().make)().encode(0, page, &mut out);
        out.len()
    };
    let mut page = [0x5a; PAGE_BYTES];
    assert_eq!(length(&page), 2 + 8 + 3, "one word, then all repeat: 0, 1, the word; 511 in two bytes, 0");
    page[2048] = 0;
    assert!(length(&page) < 40);
    assert_eq!((length(&text(3)), length(&noise(3))), (0, 0));
}

#[test]
fn names_and_wire_ids_are_unique() {
    let all: Vec<_> = reported().collect();
    for (i, (name, id)) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|other| other.0 != *name && other.1 != *id));
    }
}
