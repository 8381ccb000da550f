//! Du et al. 2010 (Microwiper): the stripes of memory that are rewritten slowest go first, and the round ends where
//! the guest would rewrite them faster than the link carries.
//!
//! The rewriting rate of a stripe is the number of its pages dirtied in the last round over the duration of the round.
//! Their rates are added up in the order of sending (ordered propagation); when the sum exceeds the measured bandwidth,
//! the next round starts at once (`stripe-rate`, transfer throttle).
//!
//! Where the paper leaves it open: the stripe that exceeds the bandwidth is not sent, except that a round sends at least
//! one stripe; the bandwidth is that of the last round, in pages as they are before encoding would shrink them. The
//! length of a stripe is a number of 2 MiB blocks, in which the lanes order.

use super::{Arrange, stripes};
use crate::{
    limits::{BLOCK_PAGES, PAGE_BYTES},
    page::Plan,
    part::Row,
    policy::Scene,
};

pub(super) const ROW: Row<dyn Arrange> = Row {
    name: "coldest-stripe-first",
    about: "by ascending rewriting rate, as far as the link outruns the guest",
    params: &[stripes::BLOCKS],
    make: |values| Box::new(ColdestStripeFirst { blocks: values.whole("blocks") as usize }),
};

struct ColdestStripeFirst {
    blocks: usize,
}

impl Arrange for ColdestStripeFirst {
    fn arrange(&mut self, mut plan: Plan, scene: &Scene) -> Plan {
        let dirty = stripes::sums(&scene.dirty.count_by_block(), self.blocks);
        let mut ranked = stripes::ranked(&plan, self.blocks, &dirty);
        let (interval, page_bytes_per_s) = (scene.interval.as_secs_f64(), scene.page_bytes_per_s);
        if interval > 0.0 && page_bytes_per_s > 0.0 {
            let most = page_bytes_per_s / PAGE_BYTES as f64 * interval;
            let mut sum = 0;
            let fitting = ranked.iter().take_while(|&&stripe| {
                sum += dirty[stripe as usize];
                sum as f64 <= most
            });
            let cut = fitting.count().max(1).min(ranked.len());
            for stripe in ranked.split_off(cut) {
                let pages = BLOCK_PAGES * self.blocks as u32;
                plan.pages.remove_range(stripe * pages..(stripe + 1) * pages);
            }
        }
        Plan { order: stripes::order(&ranked, self.blocks), ..plan }
    }
}
