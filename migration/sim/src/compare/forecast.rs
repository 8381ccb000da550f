//! Forecasts over the dirty pages just recorded: by playing the chosen scheme itself in virtual time, and by the
//! predictors of the literature, which know plain pre-copy only. Each is made several times over, from different parts of
//! the record: how far these lie apart is how sure it is.

use std::time::Duration;

use godwit_migration::{
    predict::{self, PREDICTORS, Terms},
    report::{Outcome, Report},
};
use serde::Serialize;

use crate::{replay::Replay, trace::Tape};

/// Replays of a forecast, each beginning elsewhere in the trace.
const STARTS: u32 = 8;
/// Parts of the record that a predictor is asked about, one by one.
const WINDOWS: usize = 4;
/// How much longer than its budget a downtime may be that is still called within it: what stop rules see are predictions.
const TOLERANCE: f64 = 1.25;
/// Rounds that the predictors allow.
const MOST_ROUNDS: u32 = 1000;

/// What a migration is expected to take. Times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// By whom: `lab`, or a predictor's name.
    pub by: &'static str,
    /// Total time: the median.
    pub total_s: f64,
    /// Downtime: the median.
    pub downtime_s: f64,
    /// Bytes on the wire: the median.
    pub bytes: f64,
    /// Whether it comes within the downtime budget by itself, in more than half of the cases.
    pub converges: bool,
    /// How sure that is, 0 to 1: the share of the cases that agree about it, times one less half the relative spread of
    /// their total times.
    pub confidence: f64,
    /// Shortest and longest total time.
    pub total_range_s: (f64, f64),
    /// Shortest and longest downtime.
    pub downtime_range_s: (f64, f64),
}

/// One case.
struct Case {
    total_s: f64,
    downtime_s: f64,
    bytes: f64,
    converges: bool,
}

impl Forecast {
    /// Of at least one case.
    fn of(by: &'static str, cases: &[Case]) -> Self {
        let share = cases.iter().filter(|case| case.converges).count() as f64 / cases.len() as f64;
        let figures = |of: fn(&Case) -> f64| {
            let mut all: Vec<_> = cases.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            (all[0], all[all.len() / 2], all[all.len() - 1])
        };
        let (total, downtime) = (figures(|case| case.total_s), figures(|case| case.downtime_s));
        let spread = if total.1 > 0.0 { ((total.2 - total.0) / total.1 / 2.0).min(1.0) } else { 0.0 };
        Self {
            by,
            total_s: total.1,
            downtime_s: downtime.1,
            bytes: figures(|case| case.bytes).1,
            converges: share > 0.5,
            confidence: share.max(1.0 - share) * (1.0 - spread),
            total_range_s: (total.0, total.2),
            downtime_range_s: (downtime.0, downtime.2),
        }
    }
}

/// Plays `replay` from eight places of `tape`, evenly spread. A trace without an interval is an idle guest.
#[must_use]
pub fn forecast(replay: &Replay, tape: &Tape) -> Forecast {
    let case = |n: u32| {
        let mut replay = replay.clone();
        replay.start = tape.trace().length() * n / STARTS;
        let report = replay.run(tape).report;
        Case {
            total_s: report.total_s,
            downtime_s: report.downtime_s.total,
            bytes: report.bytes.wire as f64,
            converges: within(&report, replay.downtime),
        }
    };
    Forecast::of("lab", &(0..STARTS).map(case).collect::<Vec<_>>())
}

/// What the predictors of the engine say of plain pre-copy, with the link, costs and coders of `replay`.
#[must_use]
pub fn by_predictors(replay: &Replay, tape: &Tape) -> Vec<Forecast> {
    let trace = tape.trace();
    let (model, budget) = (&replay.model, replay.downtime);
    let (page_bytes, pages_per_s) =
        model.mean_page(&replay.scheme.encode, &trace.about.content, replay.lanes);
    let costs = &model.costs;
    let terms = Terms {
        pages: u64::from(trace.resident().count()),
        page_bytes,
        bytes_per_s: pages_per_s * page_bytes,
        fixed_cost: costs.pause
            + costs.harvest
            + costs.save
            + costs.build
            + costs.run
            + model.link.latency * 3
            + model.link.time_of(model.state_bytes as usize),
        setup: costs.prepare + costs.start_tracking + model.link.latency * (6 + 2 * u32::from(replay.lanes)),
        budget,
        most_rounds: MOST_ROUNDS,
        timeout: replay.timeout.unwrap_or(Duration::MAX),
    };
    let window = trace.intervals().div_ceil(WINDOWS).max(1);
    PREDICTORS
        .iter()
        .map(|row| {
            let starts = (0..trace.intervals().max(1)).step_by(window);
            let cases: Vec<_> = starts
                .map(|start| {
                    let mut predictor = (row.make)();
                    for n in start..(start + window).min(trace.intervals()) {
                        predictor.observe(trace.interval(), &trace.dirty(n));
                    }
                    let predict::Forecast { total_s, downtime_s, bytes, converges, .. } =
                        predictor.forecast(&terms);
                    Case { total_s, downtime_s, bytes, converges }
                })
                .collect();
            Forecast::of(row.name, &cases)
        })
        .collect()
}

/// Whether the migration came within its budget, or within what of a downtime no scheme can shorten.
fn within(report: &Report, budget: Duration) -> bool {
    let down = &report.downtime_s;
    let fixed_s = down.pause + down.harvest + down.handover;
    report.outcome == Outcome::Completed && down.total <= (budget.as_secs_f64().max(fixed_s)) * TOLERANCE
}
