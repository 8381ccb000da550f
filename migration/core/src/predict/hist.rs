//! HIST (Akoush et al. 2010, §4.2): the guest will do again what it was seen to do. A round dirties the distinct pages of
//! the recorded intervals that fall into it; the record repeats itself.
//!
//! The paper records an earlier run of the same work and looks the rate up by time. Here the record is of this guest, just
//! now, and of pages instead of rates, so that a page dirtied twice in a round counts once. Of an interval that a round
//! has only a part of, that part of its pages is taken.

use std::time::Duration;

use super::{Forecast, Predictor, PredictorRow, Terms, simulate};
use crate::page::PageSet;

pub(super) const ROW: PredictorRow = PredictorRow {
    name: "hist",
    about: "the recorded intervals, again and again",
    make: || Box::new(Hist::default()),
};

/// Most intervals kept; the oldest goes first.
const MOST_INTERVALS: usize = 1024;

/// The predictor.
#[derive(Clone, Debug, Default)]
pub struct Hist {
    intervals: std::collections::VecDeque<(Duration, PageSet)>,
}

impl Predictor for Hist {
    fn observe(&mut self, interval: Duration, dirty: &PageSet) {
        if self.intervals.len() == MOST_INTERVALS {
            self.intervals.pop_front();
        }
        self.intervals.push_back((interval, dirty.clone()));
    }

    fn forecast(&self, terms: &Terms) -> Forecast {
        simulate(terms, |from, length| self.dirtied(from.as_secs_f64(), length.as_secs_f64()))
    }
}

impl Hist {
    /// Distinct pages dirtied in `left` seconds that begin `from` seconds after the record does.
    fn dirtied(&self, from: f64, mut left: f64) -> u64 {
        let whole: f64 = self.intervals.iter().map(|(interval, _)| interval.as_secs_f64()).sum();
        let Some((_, first)) = self.intervals.front() else { return 0 };
        if whole <= 0.0 {
            return 0;
        }
        // More than the whole record dirties what the whole record does.
        left = left.min(whole);
        let mut skip = from % whole;
        let mut dirty = PageSet::empty(first.pages());
        let mut part = 0.0;
        for (interval, pages) in self.intervals.iter().cycle().take(2 * self.intervals.len() + 1) {
            let length = interval.as_secs_f64();
            if skip >= length {
                skip -= length;
                continue;
            }
            let took = (length - skip).min(left);
            if took >= length * (1.0 - 1e-9) {
                dirty.union(pages);
            } else if length > 0.0 {
                let mut new = pages.clone();
                new.subtract(&dirty);
                part += f64::from(new.count()) * took / length;
            }
            skip = 0.0;
            left -= took;
            if left <= 0.0 {
                break;
            }
        }
        u64::from(dirty.count()) + part as u64
    }
}
