//! Liu et al. 2010: the vCPUs' share of the CPU is lowered in proportion to dirty rate ÷ bandwidth.
//!
//! What the guest would dirty at full speed is estimated as what it dirtied ÷ the share that it ran. The share that it
//! keeps is `ratio` × bandwidth ÷ that rate. The paper leaves open what the dirty rate should come to; at the
//! bandwidth itself the rounds would not get shorter, so half of it is the default.

use super::{Slow, Throttle};
use crate::{
    convergence::Standing,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Slow> = Row {
    name: "share",
    about: "leave the vCPUs a share of their time in proportion to bandwidth / dirty rate",
    params: &[
        Param {
            name: "ratio",
            about: "what the guest may dirty, as a part of what the link carries",
            default: "0.5",
            kind: Kind::Real(0.01, 1.0),
        },
        Param {
            name: "least",
            about: "percent of their time that they keep",
            default: "1",
            kind: Kind::Whole(1, 99),
        },
    ],
    make: |values| {
        Box::new(Share { ratio: values.real("ratio"), least: values.whole("least") as f64 / 100.0 })
    },
};

struct Share {
    ratio: f64,
    least: f64,
}

impl Slow for Share {
    fn decide(&mut self, standing: &Standing) -> Throttle {
        let ran = match standing.throttle {
            Throttle::Share(taken) => (1.0 - taken).max(self.least),
            Throttle::None | Throttle::DirtyLimit(_) => 1.0,
        };
        let (carries, dirties) = (standing.page_bytes_per_s(), standing.dirty_bytes_per_s() / ran);
        let keeps = if dirties > 0.0 { self.ratio * carries / dirties } else { 1.0 };
        match standing.rounds {
            0 => Throttle::None,
            _ if carries <= 0.0 => standing.throttle,
            _ if keeps >= 1.0 => Throttle::None,
            _ => Throttle::Share(1.0 - keeps.max(self.least)),
        }
    }
}
