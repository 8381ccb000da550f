//! A bound on the number of rounds, for schemes whose own rules may never fire.

use super::{Convergence, Standing, Verdict};
use crate::{
    limits::MAX_ROUNDS,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "rounds",
    about: "when so many rounds are done",
    params: &[Param {
        name: "most",
        about: "number of rounds",
        default: "30",
        kind: Kind::Whole(0, MAX_ROUNDS as u64),
    }],
    make: |values| Box::new(Rounds { most: values.whole("most") }),
};

struct Rounds {
    most: u64,
}

impl Convergence for Rounds {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        if u64::from(standing.rounds) < self.most {
            return Verdict::Again;
        }
        Verdict::Final(format!("{} rounds are done", standing.rounds))
    }
}
