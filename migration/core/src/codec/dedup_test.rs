//! References: only to what the target holds, bit for bit.

use super::{codec_test::noise, dedup::Dedup, *};

fn reference(coder: &mut Dedup, page: u32, bytes: &PageBytes) -> Option<u32> {
    let mut out = vec![];
    match coder.encode(page, bytes, &mut out) {
        Coded::Used(_) => Some(u32::from_le_bytes(out.try_into().unwrap())),
        Coded::Declined => None,
    }
}

#[test]
fn a_page_equal_to_one_sent_is_a_reference_until_that_is_sent_again() {
    let (mut coder, a, b) = (Dedup::new(1), noise(1), noise(2));
    assert_eq!(reference(&mut coder, 10, &a), None);
    coder.sent(10, &a, RAW, true);
    assert_eq!(reference(&mut coder, 20, &a), Some(10));
    assert_eq!(reference(&mut coder, 20, &b), None);
    // Sent again with the same content, it is at the target all the same.
    coder.sent(10, &a, RAW, true);
    assert_eq!(reference(&mut coder, 20, &a), Some(10));
    coder.sent(10, &b, RAW, true);
    assert_eq!((reference(&mut coder, 20, &a), reference(&mut coder, 20, &b)), (None, Some(10)));
}

#[test]
fn the_table_is_bounded_and_what_it_displaces_is_forgotten() {
    let mut coder = Dedup::new(1);
    for page in 0..1000 {
        coder.sent(page, &noise(u64::from(page) * 2), RAW, true);
    }
    let known = (0..1000).filter(|&page| {
        let found = reference(&mut coder, 5000, &noise(u64::from(page) * 2));
        assert!(found.is_none_or(|at| at == page));
        found.is_some()
    });
    assert!((100..=256).contains(&known.count()));
}
