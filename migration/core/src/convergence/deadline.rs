//! Stop when pre-copy has had its time: total time first, whatever the downtime comes to.

use std::time::Duration;

use super::{Convergence, Standing, Verdict};
use crate::part::{Kind, Param, Row};

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "deadline",
    about: "when pre-copy has had its time",
    params: &[Param {
        name: "after",
        about: "time from the start of the first round",
        default: "60s",
        kind: Kind::Time(Duration::from_millis(1), Duration::from_secs(7 * 24 * 3600)),
    }],
    make: |values| Box::new(Deadline { after: values.time("after") }),
};

struct Deadline {
    after: Duration,
}

impl Convergence for Deadline {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        if standing.rounds > 0 && standing.elapsed >= self.after {
            let (had, given) = (standing.elapsed.as_secs_f64(), self.after.as_secs_f64());
            Verdict::Final(format!("pre-copy took {had:.1} s of the {given:.1} s it was given"))
        } else {
            Verdict::Again
        }
    }
}
