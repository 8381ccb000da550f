//! Forecasts of a migration that has not happened: how long, how long down, how many bytes (Akoush et al., Predicting the
//! Performance of Virtual Machine Migration, MASCOTS 2010).
//!
//! A predictor watches harvests and then simulates the rounds of plain pre-copy. The paper has two, which differ in what a
//! round of a given length is taken to dirty: [`Avg`] and [`Hist`]. A third way, to run the chosen scheme itself in virtual
//! time, is the lab's. A predictor is one file and one line in [`PREDICTORS`].

mod avg;
mod hist;

#[cfg(test)]
mod predict_test;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::page::PageSet;

pub use self::{avg::Avg, hist::Hist};

/// What is known of a migration beforehand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Pages that the first round sends.
    pub pages: u64,
    /// Bytes on the wire of a page, on average.
    pub page_bytes: f64,
    /// Bytes per second of the link; above 0.
    pub bytes_per_s: f64,
    /// What a stop-and-copy costs beside its pages.
    pub fixed_cost: Duration,
    /// What is done before the first round.
    pub setup: Duration,
    /// Downtime that is allowed.
    pub budget: Duration,
    /// Pre-copy ends after so many rounds even so.
    pub most_rounds: u32,
    /// Pre-copy ends after this time even so.
    pub timeout: Duration,
}

/// What a migration is expected to take. Times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Total time.
    pub total_s: f64,
    /// Downtime.
    pub downtime_s: f64,
    /// Bytes on the wire.
    pub bytes: f64,
    /// Rounds, the last included.
    pub rounds: u32,
    /// Whether it comes within the budget by itself.
    pub converges: bool,
}

/// A way to forecast.
pub trait Predictor: Send {
    /// Takes a harvest in, of an interval that is not empty.
    fn observe(&mut self, interval: Duration, dirty: &PageSet);

    /// What plain pre-copy would take, by what has been observed. Without observations the guest is idle.
    fn forecast(&self, terms: &Terms) -> Forecast;
}

/// A row of the registry.
pub struct PredictorRow {
    /// Its name.
    pub name: &'static str,
    /// What it takes a round to dirty.
    pub about: &'static str,
    /// Makes one that has observed nothing.
    pub make: fn() -> Box<dyn Predictor>,
}

/// All predictors.
pub static PREDICTORS: &[PredictorRow] = &[avg::ROW, hist::ROW];

/// The rounds of plain pre-copy, where `dirtied(from, length)` says how many pages are dirtied in a time that begins
/// `from` after the first round does.
fn simulate(terms: &Terms, mut dirtied: impl FnMut(Duration, Duration) -> u64) -> Forecast {
    let time_of = |pages: u64| {
        Duration::try_from_secs_f64(pages as f64 * terms.page_bytes / terms.bytes_per_s)
            .unwrap_or(Duration::MAX / 4)
    };
    let (mut owed, mut sent, mut at, mut rounds) = (terms.pages, 0u64, Duration::ZERO, 0);
    let converges = loop {
        let fits = terms.fixed_cost.saturating_add(time_of(owed)) <= terms.budget;
        // Where the rest alone is over the budget, the pages can still be kept within it.
        let pages_fit = terms.fixed_cost > terms.budget && time_of(owed) <= terms.budget;
        if rounds > 0 && (fits || pages_fit) {
            break true;
        }
        if rounds >= terms.most_rounds || at >= terms.timeout {
            break false;
        }
        let length = time_of(owed);
        sent += owed;
        owed = dirtied(at, length);
        at = at.saturating_add(length);
        rounds += 1;
    };
    let downtime = terms.fixed_cost.saturating_add(time_of(owed));
    Forecast {
        total_s: terms.setup.saturating_add(at).saturating_add(downtime).as_secs_f64(),
        downtime_s: downtime.as_secs_f64(),
        bytes: (sent + owed) as f64 * terms.page_bytes,
        rounds: rounds + 1,
        converges,
    }
}
