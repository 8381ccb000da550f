//! Ibrahim et al. 2011: watch the rate at which memory changes, and stop when further rounds no longer lower what is
//! owed.
//!
//! Where the paper leaves it open: a round has lowered it if it is at least `least` less than after the round before;
//! the rule fires when so many rounds in a row have not.

use super::{Convergence, Standing, Verdict};
use crate::part::{Kind, Param, Row};

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "change-rate",
    about: "when rounds in a row have not lowered what is owed",
    params: &[
        Param {
            name: "least",
            about: "what a round must take off, as a share of what was owed",
            default: "0.05",
            kind: Kind::Real(0.0, 1.0),
        },
        Param {
            name: "in-a-row",
            about: "so many rounds must have failed to",
            default: "2",
            kind: Kind::Whole(1, 100),
        },
    ],
    make: |values| {
        Box::new(ChangeRate {
            least: values.real("least"),
            in_a_row: values.whole("in-a-row"),
            before: None,
            failed: 0,
        })
    },
};

struct ChangeRate {
    least: f64,
    in_a_row: u64,
    /// Owed after the round before.
    before: Option<u64>,
    /// Rounds in a row that did not lower it.
    failed: u64,
}

impl Convergence for ChangeRate {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        if standing.rounds == 0 {
            return Verdict::Again;
        }
        let now = standing.owed_pages;
        if let Some(before) = self.before.replace(now) {
            let lowered = now < before && now as f64 <= (1.0 - self.least) * before as f64;
            self.failed = if lowered { 0 } else { self.failed + 1 };
        }
        if self.failed < self.in_a_row {
            return Verdict::Again;
        }
        Verdict::Final(format!("{} rounds in a row have not lowered what is owed: {now} pages", self.failed))
    }
}
