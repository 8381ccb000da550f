//! Pages that the guest has given free do not travel, and those that it takes again do.

use std::time::Duration;

use godwit_lab::{
    Lab,
    guest::GuestSpec,
    workload::{Idle, Uniform},
};

use crate::common::{GIGABIT, moved, ms};

const PAGES: u32 = 8192;

#[test]
fn free_pages_do_not_travel() {
    let guest = GuestSpec::new(PAGES, PAGES, Box::new(Idle)).freeing(1000..5000, Duration::from_secs(1));
    let run = Lab::new(guest, GIGABIT).run();
    moved(&run, "mostly free");
    assert_eq!((run.report.pages.free, run.report.pages.sent), (4000, u64::from(PAGES) - 4000));
}

/// Pages are freed and taken again all the time, at moments that fall anywhere between reports and harvests: what is not
/// free at the end is whole at the target.
#[test]
fn a_page_that_is_taken_again_is_owed_again() {
    for (every, rate) in [(1, 30_000.0), (3, 20_000.0), (7, 10_000.0), (50, 3000.0)] {
        for seed in 0..8 {
            let workload = Uniform::new(0..PAGES, rate, seed);
            let guest = GuestSpec::new(PAGES, PAGES, Box::new(workload)).freeing(1000..5000, ms(every));
            let mut lab = Lab::new(guest, GIGABIT);
            (lab.lanes, lab.downtime, lab.timeout) = (2, ms(20), Some(Duration::from_secs(20)));
            lab.on_timeout = godwit_migration::source::OnTimeout::Force;
            let run = lab.run();
            moved(&run, "freed and taken");
            assert!(run.report.pages.free > 3000, "every {every} ms: {:?}", run.report.pages);
        }
    }
}
