//! Amiri et al. 2016: the vCPUs' share of the CPU is halved, round after round, until the guest dirties less than the
//! link carries; it is restored after the switch-over.
//!
//! The paper does not say how small a share may become; here 1% is left unless another `least` is asked for. A share
//! once taken is not given back before the end, as in the paper.

use super::{Slow, Throttle};
use crate::{
    convergence::Standing,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Slow> = Row {
    name: "halving",
    about: "halve the vCPUs' time each round until the guest dirties less than the link carries",
    params: &[Param {
        name: "least",
        about: "percent of their time that they keep",
        default: "1",
        kind: Kind::Whole(1, 99),
    }],
    make: |values| Box::new(Halving { least: values.whole("least") as f64 / 100.0, left: 1.0 }),
};

struct Halving {
    least: f64,
    /// What the vCPUs keep.
    left: f64,
}

impl Slow for Halving {
    fn decide(&mut self, standing: &Standing) -> Throttle {
        let carries = standing.page_bytes_per_s();
        if carries > 0.0 && standing.dirty_bytes_per_s() >= carries {
            self.left = (self.left / 2.0).max(self.least);
        }
        if self.left < 1.0 { Throttle::Share(1.0 - self.left) } else { Throttle::None }
    }
}
