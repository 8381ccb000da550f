//! Clark et al. 2005 (Xen), §4.2 and its sources: fewer than 50 pages dirtied in the last round, 29 rounds done, or
//! more than three times the guest's memory sent.

use super::{Convergence, Standing, Verdict};
use crate::{
    limits::{MAX_PAGES, MAX_ROUNDS},
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "xen",
    about: "few pages dirtied, many rounds done, or memory sent several times over",
    params: &[
        Param {
            name: "few",
            about: "fewer pages than that were dirtied in the last round",
            default: "50",
            kind: Kind::Whole(0, MAX_PAGES as u64),
        },
        Param {
            name: "rounds",
            about: "so many rounds are done",
            default: "29",
            kind: Kind::Whole(1, MAX_ROUNDS as u64),
        },
        Param {
            name: "copies",
            about: "more than so many times the guest's memory was sent",
            default: "3",
            kind: Kind::Real(0.0, 1000.0),
        },
    ],
    make: |values| {
        Box::new(Xen {
            few: values.whole("few"),
            rounds: values.whole("rounds"),
            copies: values.real("copies"),
        })
    },
};

struct Xen {
    few: u64,
    rounds: u64,
    copies: f64,
}

impl Convergence for Xen {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        if standing.rounds == 0 {
            Verdict::Again
        } else if standing.dirty_pages < self.few {
            Verdict::Final(format!("{} pages were dirtied in the last round", standing.dirty_pages))
        } else if u64::from(standing.rounds) >= self.rounds {
            Verdict::Final(format!("{} rounds are done", standing.rounds))
        } else if standing.sent_pages as f64 > self.copies * standing.guest_pages as f64 {
            Verdict::Final(format!("more than {} times the guest's memory has been sent", self.copies))
        } else {
            Verdict::Again
        }
    }
}
