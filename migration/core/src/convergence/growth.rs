//! Sharma and Chawla 2016: stop when a round found more than 1.5 times as many dirty pages as the round before.
//!
//! Where the paper leaves it open: rounds are compared, whatever their length; what was seen before the first round
//! ended is not compared with, nor is a round that found nothing.

use super::{Convergence, Standing, Verdict};
use crate::part::{Kind, Param, Row};

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "growth",
    about: "when a round found so many times more dirty pages than the one before",
    params: &[Param {
        name: "factor",
        about: "growth from round to round",
        default: "1.5",
        kind: Kind::Real(1.0, 1000.0),
    }],
    make: |values| Box::new(Growth { factor: values.real("factor"), before: 0 }),
};

struct Growth {
    factor: f64,
    /// What the round before found.
    before: u64,
}

impl Convergence for Growth {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        if standing.rounds == 0 {
            return Verdict::Again;
        }
        let (now, before) = (standing.dirty_pages, std::mem::replace(&mut self.before, standing.dirty_pages));
        if before == 0 || now as f64 <= self.factor * before as f64 {
            return Verdict::Again;
        }
        Verdict::Final(format!(
            "{now} pages were dirtied in the last round, more than {} times the {before} of the round before",
            self.factor
        ))
    }
}
