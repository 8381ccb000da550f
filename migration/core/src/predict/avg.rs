//! AVG (Akoush et al. 2010, §4.1): the dirty rate is constant, the average of what was observed.
//!
//! The paper does not say what bounds the pages of a long round. We take the pages that were ever found dirty or that the
//! first round sends, whichever are more: the guest has no others.

use std::time::Duration;

use super::{Forecast, Predictor, PredictorRow, Terms, simulate};
use crate::page::PageSet;

pub(super) const ROW: PredictorRow =
    PredictorRow { name: "avg", about: "the mean dirty rate, always", make: || Box::new(Avg::default()) };

/// The predictor.
#[derive(Clone, Debug, Default)]
pub struct Avg {
    pages: u64,
    seconds: f64,
    seen: Option<PageSet>,
}

impl Predictor for Avg {
    fn observe(&mut self, interval: Duration, dirty: &PageSet) {
        self.pages += u64::from(dirty.count());
        self.seconds += interval.as_secs_f64();
        self.seen.get_or_insert_with(|| PageSet::empty(dirty.pages())).union(dirty);
    }

    fn forecast(&self, terms: &Terms) -> Forecast {
        let rate = if self.seconds > 0.0 { self.pages as f64 / self.seconds } else { 0.0 };
        let most = terms.pages.max(self.seen.as_ref().map_or(0, |seen| u64::from(seen.count())));
        simulate(terms, |_, length| ((rate * length.as_secs_f64()) as u64).min(most))
    }
}
