//! A guest writes while it runs, and only then; its log has what it wrote since the last harvest, and only that.

use std::time::Duration;

use godwit_migration::{arming::Arming, host::PageSource, limits::PAGE_BYTES, page::PageSet};

use crate::{guest::*, workload::Sequential};

const SECOND: Duration = Duration::from_secs(1);

/// Ten writes a second over pages 64 to 127, of 128.
fn guest() -> Guest {
    Guest::new(GuestSpec::new(100, 3, Box::new(Sequential::new(64..128, 10.0))))
}

fn members(set: &PageSet) -> Vec<u32> {
    set.iter().collect()
}

#[test]
fn a_guest_has_whole_regions() {
    let guest = guest();
    assert_eq!(guest.memory.pages(), 128);
    assert_eq!(guest.shape().check(), Ok(()));
}

#[test]
fn touched_is_what_was_ever_written_tracked_or_not() {
    let mut guest = guest();
    guest.play(SECOND / 2);
    let mut touched = PageSet::empty(128);
    guest.memory.touched(&mut touched).unwrap();
    assert_eq!(members(&touched), [0, 1, 2, 64, 65, 66, 67, 68]);

    let mut more = PageSet::empty(128);
    more.insert(127);
    guest.memory.touched(&mut more).unwrap();
    assert!(more.contains(127) && touched.is_subset(&more), "it adds, and takes nothing away");
}

#[test]
fn the_log_has_each_write_once_and_only_while_it_is_on() {
    let mut guest = guest();
    guest.begin_tracking(SECOND, Arming::AtOnce);
    guest.play(SECOND * 12 / 10);
    assert!(guest.is_logged(75) && !guest.is_logged(76) && !guest.is_logged(73));
    assert_eq!(members(&guest.harvest(SECOND * 13 / 10)), [74, 75, 76]);
    assert!(guest.harvest(SECOND * 13 / 10).is_empty() && !guest.is_logged(75));
    guest.end_tracking();
    assert!(!guest.tracked());
    assert!(guest.harvest(SECOND * 2).is_empty());
}

#[test]
fn what_is_not_armed_is_in_the_log_up_to_the_first_harvest() {
    let mut guest = guest();
    guest.begin_tracking(SECOND, Arming::AsSent);
    assert!(guest.is_logged(0) && guest.is_logged(73) && !guest.is_logged(74), "what was touched is");
    let round = PageSet::full(128).filtered(|page| page >= 64);
    assert!(guest.arm_others(&round) && !guest.arm_others(&round));
    assert!(!guest.is_logged(0) && guest.is_logged(73), "what is not in the round is armed");
    guest.arm(&round, 64..70);
    assert_eq!(members(&guest.harvest(SECOND * 11 / 10)), [70, 71, 72, 73, 74]);
    assert!(guest.harvest(SECOND * 11 / 10).is_empty());
}

#[test]
fn a_paused_guest_stands_still_and_goes_on_where_it_was() {
    let mut guest = guest();
    guest.pause(SECOND);
    guest.play(SECOND * 9);
    assert_eq!((guest.writes(), guest.ran(SECOND * 9)), (10, SECOND));
    guest.resume(SECOND * 10);
    guest.play(SECOND * 11);
    assert_eq!((guest.writes(), guest.ran(SECOND * 12)), (20, SECOND * 3));
}

#[test]
fn content_tells_page_and_version_and_is_zero_now_and_then() {
    let (mut zeros, mut bytes) = (0, [1; PAGE_BYTES]);
    for version in 0..32 {
        fill(5, version, &mut bytes);
        if is_zero(5, version) {
            zeros += 1;
            assert_eq!(bytes, [0; PAGE_BYTES]);
        } else {
            assert_eq!(version_in(&bytes), version);
        }
    }
    assert_eq!(zeros, 3, "versions 0, 11 and 27");
}
