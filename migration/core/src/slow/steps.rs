//! Step by step, as QEMU's auto-converge does (`migration/ram.c`, `migration_trigger_throttle`): when in two rounds the
//! guest dirtied more than half of what was sent, it loses 20% of its time, and 10% more each time that happens again.
//!
//! As in QEMU, a good round in between does not start the count anew, and what was taken is not given back before the
//! end. QEMU compares dirtied bytes with bytes on the wire; here pages stand against pages, so that an encoding which
//! makes them smaller does not slow the guest.

use super::{Slow, Throttle};
use crate::{
    convergence::Standing,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Slow> = Row {
    name: "steps",
    about: "take 20% of the vCPUs' time after 2 rounds that dirtied more than half of what they sent, then 10% more each time",
    params: &[
        Param {
            name: "after",
            about: "such rounds before each step",
            default: "2",
            kind: Kind::Whole(1, 100),
        },
        Param {
            name: "dirtied",
            about: "percent of the sent pages that are too many when dirtied",
            default: "50",
            kind: Kind::Whole(1, 100),
        },
        Param {
            name: "initial",
            about: "percent of their time that is taken first",
            default: "20",
            kind: Kind::Whole(1, 99),
        },
        Param { name: "step", about: "percent more with each step", default: "10", kind: Kind::Whole(1, 99) },
        Param { name: "most", about: "percent taken at most", default: "99", kind: Kind::Whole(1, 99) },
    ],
    make: |values| {
        Box::new(Steps {
            after: values.whole("after"),
            dirtied: values.whole("dirtied"),
            initial: values.whole("initial"),
            step: values.whole("step"),
            most: values.whole("most"),
            high: 0,
            percent: 0,
        })
    },
};

struct Steps {
    after: u64,
    dirtied: u64,
    initial: u64,
    step: u64,
    most: u64,
    /// Rounds since the last step that dirtied too much.
    high: u64,
    /// What is taken now.
    percent: u64,
}

impl Slow for Steps {
    fn decide(&mut self, standing: &Standing) -> Throttle {
        let too_many = standing.dirty_pages * 100 > standing.round_pages * self.dirtied;
        if standing.rounds > 0 && too_many {
            self.high += 1;
        }
        if self.high >= self.after {
            self.high = 0;
            let next = if self.percent == 0 { self.initial } else { self.percent + self.step };
            self.percent = next.min(self.most);
        }
        if self.percent == 0 { Throttle::None } else { Throttle::Share(self.percent as f64 / 100.0) }
    }
}
