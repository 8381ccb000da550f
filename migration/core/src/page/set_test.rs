//! A page set agrees with a plain set of numbers, whatever is asked of it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::PageSet;

fn of(pages: u32, members: &BTreeSet<u32>) -> PageSet {
    let mut set = PageSet::empty(pages);
    members.iter().for_each(|&p| set.insert(p));
    set
}

proptest! {
    #[test]
    fn members_runs_and_counts_agree(pages in 1u32..400, raw in proptest::collection::btree_set(0u32..400, 0..200)) {
        let members: BTreeSet<u32> = raw.into_iter().filter(|&p| p < pages).collect();
        let set = of(pages, &members);
        prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), members.clone());
        prop_assert_eq!(set.runs().flatten().collect::<BTreeSet<_>>(), members.clone());
        prop_assert_eq!(set.count() as usize, members.len());
        for (a, b) in set.runs().zip(set.runs().skip(1)) {
            prop_assert!(a.end < b.start, "runs are maximal");
        }
    }

    #[test]
    fn runs_in_a_range_are_clipped(a in 0u32..300, b in 0u32..300, raw in proptest::collection::btree_set(0u32..256, 0..200)) {
        let set = of(256, &raw);
        let expected: Vec<u32> = raw.into_iter().filter(|p| (a..b).contains(p)).collect();
        prop_assert_eq!(set.runs_in(a..b).flatten().collect::<Vec<_>>(), expected);
    }
}

proptest! {
    #[test]
    fn filtered_and_counted_by_block(raw in proptest::collection::btree_set(0u32..1100, 0..300), parts in 1u32..5) {
        let set = of(1100, &raw);
        let expected: Vec<u32> = raw.iter().copied().filter(|page| page % parts == 0).collect();
        let mut asked = vec![];
        let kept = set.filtered(|page| { asked.push(page); page % parts == 0 });
        prop_assert_eq!(kept.iter().collect::<Vec<_>>(), expected);
        prop_assert!(asked.iter().eq(&raw), "asked for its own pages, in order");
        let counted: Vec<u32> =
            (0..3).map(|block| raw.iter().filter(|&&page| page / 512 == block).count() as u32).collect();
        prop_assert_eq!(set.count_by_block(), counted);
    }
}

#[test]
fn a_full_set_ends_at_the_last_page() {
    let set = PageSet::full(130);
    assert_eq!(set.count(), 130);
    let mut runs = set.runs();
    assert_eq!((runs.next(), runs.next()), (Some(0..130), None));
    assert!(!set.contains(130));
}

#[test]
fn words_from_a_dirty_log_land_at_their_slot_and_stray_bits_are_dropped() {
    let mut set = PageSet::empty(130);
    set.union_words(64, &[1, !0]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [64, 128, 129]);
}
