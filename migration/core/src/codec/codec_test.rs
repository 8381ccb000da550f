//! What every registered codec must do: give back what it took, and refuse what no encoder writes.

use proptest::prelude::*;

use super::*;
use crate::limits::PAGE_BYTES;

fn page() -> impl Strategy<Value = Box<PageBytes>> {
    let sparse = proptest::collection::vec((0..PAGE_BYTES, any::<u8>()), 0..4).prop_map(|writes| {
        let mut page = Box::new([0; PAGE_BYTES]);
        writes.into_iter().for_each(|(at, byte)| page[at] = byte);
        page
    });
    let dense = any::<u64>().prop_map(|seed| {
        let mut x = seed | 1;
        Box::new(std::array::from_fn(|_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (x >> 56) as u8
        }))
    });
    prop_oneof![sparse, dense]
}

proptest! {
    #[test]
    fn what_a_codec_takes_it_gives_back(page in page()) {
        for row in CODECS {
            let mut out = vec![];
            if (row.make)().encode(&page, &mut out) == Coded::Declined {
                prop_assert!(out.is_empty(), "{} declined and wrote", row.name);
                continue;
            }
            prop_assert!(row.page_bytes == out.len());
            let mut back = Box::new([0xaa; PAGE_BYTES]);
            (row.make)().decode(&out, &mut back).unwrap();
            prop_assert_eq!(&back, &page, "{}", row.name);
            for cut in [0, out.len() / 2, out.len().saturating_sub(1)] {
                if cut < out.len() {
                    prop_assert!((row.make)().decode(&out[..cut], &mut back).is_err(), "{} took a truncated page", row.name);
                }
            }
        }
    }

    #[test]
    fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..5000)) {
        for row in CODECS {
            let _ = (row.make)().decode(&garbage, &mut [0; PAGE_BYTES]);
        }
    }
}

#[test]
fn zero_takes_exactly_the_zero_page() {
    let zero = |page: &PageBytes| (by_name("zero").unwrap().make)().encode(page, &mut vec![]);
    assert_eq!(zero(&[0; PAGE_BYTES]), Coded::Used);
    for at in [0, 63, 64, 127, 128, PAGE_BYTES - 1] {
        let mut page = [0; PAGE_BYTES];
        page[at] = 1;
        assert_eq!(zero(&page), Coded::Declined, "byte {at}");
    }
}

#[test]
fn names_and_wire_ids_are_unique() {
    for (i, row) in CODECS.iter().enumerate() {
        assert!(CODECS[i + 1..].iter().all(|other| other.name != row.name && other.wire_id != row.wire_id));
    }
}
