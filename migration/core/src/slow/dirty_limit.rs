//! A limit to what each vCPU may dirty, so that only those that dirty much are slowed: QEMU's dirty-limit (2022), whose
//! limit is a number from the user; here it follows from what the link carries.
//!
//! All vCPUs together may dirty `ratio` of what the link carries. Nobody tells here how many of them are hot: the limit
//! begins as if one were, and then moves in proportion to what they dirtied together. With `n` hot ones it is at a
//! `n`-th after one round, and it rises again when they cool down.

use super::{DIRTY_LIMIT, Slow, Throttle};
use crate::{
    convergence::Standing,
    limits::PAGE_BYTES,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Slow> = Row {
    name: DIRTY_LIMIT,
    about: "slow only the vCPUs that dirty more than the link carries; needs dirty rings",
    params: &[
        Param {
            name: "ratio",
            about: "what the guest may dirty, as a part of what the link carries",
            default: "0.5",
            kind: Kind::Real(0.01, 1.0),
        },
        Param {
            name: "least",
            about: "pages per second that a vCPU may always dirty",
            default: "100",
            kind: Kind::Whole(1, 1_000_000),
        },
    ],
    make: |values| Box::new(DirtyLimit { ratio: values.real("ratio"), least: values.whole("least") as f64 }),
};

/// Most by which the limit rises from one round to the next: a guest at rest says little of what it will do.
const MOST_RISE: f64 = 2.0;

struct DirtyLimit {
    ratio: f64,
    least: f64,
}

impl Slow for DirtyLimit {
    fn decide(&mut self, standing: &Standing) -> Throttle {
        let page = PAGE_BYTES as f64;
        let allowed = standing.page_bytes_per_s() * self.ratio / page;
        let dirtied = standing.dirty_bytes_per_s() / page;
        if standing.rounds == 0 || allowed <= 0.0 {
            return standing.throttle;
        }
        let limit = match standing.throttle {
            Throttle::DirtyLimit(limit) if dirtied > 0.0 => limit * (allowed / dirtied).min(MOST_RISE),
            Throttle::DirtyLimit(limit) => limit * MOST_RISE,
            Throttle::None | Throttle::Share(_) if dirtied > allowed => allowed,
            Throttle::None | Throttle::Share(_) => return Throttle::None,
        };
        Throttle::DirtyLimit(limit.min(allowed).max(self.least))
    }
}
