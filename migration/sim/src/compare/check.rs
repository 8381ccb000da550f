//! The lab against a real migration: the same scheme over a recorded trace, with what the real report says of the link.

use std::time::Duration;

use godwit_migration::{
    limits::PAGE_BYTES,
    preset::{Overrides, Scheme},
    report::{Outcome, Report},
};
use serde::Serialize;

use crate::{
    link::Link,
    replay::{Coders, Model, Replay},
    trace::Tape,
};

/// A round smaller than this says more about latency than about the link.
const TELLING_BYTES: u64 = 1 << 20;
/// Time of flight where the report does not tell: a local network.
const LATENCY: Duration = Duration::from_micros(50);
/// The longest time that a report is believed, and that is replayed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// One figure, in the lab and for real.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What it is, with its unit.
    pub what: &'static str,
    /// In the lab.
    pub lab: f64,
    /// For real.
    pub real: f64,
    /// How much more the lab says than there was, per cent of the real figure.
    pub percent: f64,
}

/// Replays what `real` did over `tape` with such `coders`: its preset and lanes, the limits that it was given, the bandwidth
/// that its rounds reached, the time that its pause, harvest and hand-over took.
///
/// # Errors
/// A migration that did not complete or has no telling round, a preset that is not known here, another guest, a report
/// that does not tell the limits.
pub fn check(tape: &Tape, real: &Report, coders: Coders) -> Result<Vec<Check>, String> {
    if real.outcome != Outcome::Completed {
        return Err(format!(
            "'outcome' of the report is {:?}; only a completed migration can be checked",
            real.outcome
        ));
    }
    if real.pages.total != u64::from(tape.trace().pages()) {
        return Err(format!(
            "'pages.total' of the report is {}, the trace is of a guest of {} pages",
            real.pages.total,
            tape.trace().pages()
        ));
    }
    if real.lanes == 0 {
        return Err("'lanes' of the report is 0; it must be at least 1".into());
    }
    let scheme = Scheme::parse(&real.preset, &Overrides::default())
        .map_err(|error| format!("'preset' of the report: {error}"))?;
    let asked = real
        .asked
        .ok_or("'asked' of the report is missing: the limits that the migration was given, which older versions did not tell")?;
    let rate = measured_rate(real).ok_or(
        "'rounds' of the report has no round of a MiB or more, so that the link's rate is not known",
    )?;
    let mut replay = Replay::new(scheme, Model::over(Link { bytes_per_s: rate, latency: LATENCY }));
    replay.lanes = real.lanes;
    replay.downtime = seconds(asked.downtime_s);
    replay.timeout = Some(asked.timeout_s.map_or(LONGEST, seconds));
    replay.on_timeout = asked.on_timeout;
    replay.model.coders = coders;
    let costs = &mut replay.model.costs;
    costs.pause = seconds(real.downtime_s.pause);
    costs.harvest = seconds(real.downtime_s.harvest);
    costs.run = seconds(real.downtime_s.handover).saturating_sub(LATENCY * 2);
    // What the set-up took beside the connections stands in for making the machine and starting to track.
    costs.prepare = seconds(real.setup_s);
    costs.start_tracking = Duration::ZERO;
    let lab = replay.run(tape).report;
    let figure = |what, lab: f64, real: f64| Check {
        what,
        lab,
        real,
        percent: if real > 0.0 { (lab / real - 1.0) * 100.0 } else { 0.0 },
    };
    Ok(vec![
        figure("total s", lab.total_s, real.total_s),
        figure("downtime s", lab.downtime_s.total, real.downtime_s.total),
        figure("pages sent", lab.pages.sent as f64, real.pages.sent as f64),
        figure("bytes", lab.bytes.wire as f64, real.bytes.wire as f64),
        figure("rounds", lab.rounds.len() as f64, real.rounds.len() as f64),
    ])
}

/// Bytes per second of the round with most bytes: the longest look at the link that there is.
fn measured_rate(report: &Report) -> Option<f64> {
    let telling = report.rounds.iter().filter(|round| round.bytes >= TELLING_BYTES && round.seconds > 0.0);
    let longest = telling.max_by_key(|round| round.bytes)?;
    let rate = longest.bytes as f64 / longest.seconds;
    (rate.is_finite() && rate >= PAGE_BYTES as f64).then_some(rate)
}

/// A time of a report, which may hold anything.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default().min(LONGEST)
}
