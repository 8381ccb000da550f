//! Everything has a place of its own in usable memory, for any map that a VMM may give.

use crate::layout::{Layout, MAX_RANGES, Range, Ranges};

const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;
const IMAGE_END: u64 = MIB + 0x5e_c60;

fn ranges(list: &[(u64, u64)]) -> Ranges {
    let mut ranges = Ranges::default();
    list.iter().for_each(|&(start, bytes)| ranges.add(Range { start, bytes }));
    ranges
}

/// A machine of 4.5 GiB, with its hole between 3 and 4 GiB, given out of order.
fn with_hole() -> Ranges {
    ranges(&[(4096 * MIB, 1536 * MIB), (0, 0x9_fc00), (MIB, 3071 * MIB)])
}

#[test]
fn ranges_are_ascending_whole_pages_above_1_mib() {
    let ranges = ranges(&[(8 * MIB + 1, 2 * PAGE), (0, 2 * MIB + 5), (5 * MIB, 10), (u64::MAX, u64::MAX)]);
    let expected = [Range { start: MIB, bytes: MIB }, Range { start: 8 * MIB + PAGE, bytes: PAGE }];
    assert_eq!(ranges.as_slice(), expected);
}

#[test]
fn too_many_ranges_are_cut() {
    let list: Vec<_> = (1..20).map(|index| (index * 4 * MIB, MIB)).collect();
    assert_eq!(ranges(&list).as_slice().len(), MAX_RANGES);
}

#[test]
fn pages_are_distinct_usable_and_apart_from_the_tables() {
    let ram = with_hole();
    let pages = 4 << 18;
    let layout = Layout::new(&ram, IMAGE_END, 4, pages, pages).unwrap();
    assert!(layout.directories >= IMAGE_END && layout.versions >= layout.directories + 4 * PAGE);
    let mut last = layout.versions + 4 * pages - 1;
    for page in 0..pages {
        let at = layout.address(page);
        assert!(at > last, "page {page} at {at:#x}");
        assert!(ram.as_slice().iter().any(|r| r.start <= at && at + PAGE <= r.start + r.bytes), "{at:#x}");
        last = at + PAGE - 1;
    }
    assert_eq!(layout.address(0) % (2 * MIB), 0);
}

#[test]
fn what_does_not_fit_says_what_would() {
    for ram in [with_hole(), ranges(&[(MIB, 127 * MIB)])] {
        let most = Layout::new(&ram, IMAGE_END, 3, 1 << 30, 1).unwrap_err();
        assert!(most > 30_000);
        assert!(Layout::new(&ram, IMAGE_END, 3, most, 1).is_ok());
        assert_eq!(Layout::new(&ram, IMAGE_END, 3, most + 1, 1), Err(most));
    }
    assert_eq!(Layout::new(&Ranges::default(), IMAGE_END, 3, 1, 1), Err(0));
}

#[test]
fn shares_cover_everything_once() {
    let layout = Layout::new(&with_hole(), IMAGE_END, 4, 1003, 501).unwrap();
    for count in [1, 2, 3, 16] {
        let (mut next, mut working_set) = (0, 0);
        for share in (0..count).map(|index| layout.share(index, count)) {
            assert_eq!(share.first, next);
            assert!(share.working_set <= share.pages && share.working_set > 0);
            next += share.pages;
            working_set += share.working_set;
        }
        assert_eq!((next, working_set), (1003, 501));
    }
}
