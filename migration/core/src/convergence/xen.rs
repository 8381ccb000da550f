//! Clark et al. 2005 (Xen), §4.2 and its sources: fewer than 50 pages dirtied in the last round, 29 rounds done, or
//! more than three times the guest's memory sent.

use super::{Convergence, Standing, StopRow, Verdict};

pub(crate) const ROW: StopRow = StopRow {
    name: "xen",
    about: "fewer than 50 pages dirtied, 29 rounds done, or 3 x RAM sent",
    make: || Box::new(Xen),
};

const FEW_PAGES: u64 = 50;
const MOST_ROUNDS: u32 = 29;
const MOST_COPIES: u64 = 3;

struct Xen;

impl Convergence for Xen {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        if standing.rounds == 0 {
            Verdict::Again
        } else if standing.dirty_pages < FEW_PAGES {
            Verdict::Final(format!("{} pages were dirtied in the last round", standing.dirty_pages))
        } else if standing.rounds >= MOST_ROUNDS {
            Verdict::Final(format!("{MOST_ROUNDS} rounds are done"))
        } else if standing.sent_pages > MOST_COPIES * standing.guest_pages {
            Verdict::Final(format!("{MOST_COPIES} times the guest's memory has been sent"))
        } else {
            Verdict::Again
        }
    }
}
