//! `godwit predict`: watches a running guest for a moment and says what a migration of it would take, without one.

use std::{io::Write, path::PathBuf, time::Duration};

use clap::Args;
use godwit_lab::{
    compare::{Forecast, by_predictors, forecast},
    trace::Tape,
};
use godwit_migration::preset::{PRESETS, Scheme};
use serde_json::{Value, json};

use super::{
    exit_status,
    lab::{WorldArgs, about, parse_rate, parse_scheme},
    spare_cores::CpuTimes,
    trace::record,
    units::{parse_time, show_bytes, show_seconds},
};
use crate::api::{Client, DirtyTrace};

/// Say what a migration of a running guest would take, without migrating it.
///
/// The guest's writes are recorded for a moment. Then the chosen scheme is played over the record on virtual time (lab),
/// and plain pre-copy is computed by the mean dirty rate (avg) and by the recorded intervals (hist).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit predict --api /tmp/a.sock --bandwidth 125MB/s
  godwit predict --api /tmp/a.sock --bandwidth 12.5MB/s --preset clark2005 --downtime 100ms --for 5s --json")]
pub struct Predict {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// The rate that the link would have
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    bandwidth: f64,
    /// The scheme: a preset, with parameter=value after commas [default: the first of `godwit presets`]
    #[arg(long, value_name = "NAME", default_value = PRESETS[0].name, hide_default_value = true, value_parser = parse_scheme)]
    preset: Scheme,
    /// How long the guest is watched [default: a tenth of the time that its memory takes on the link, from 2s to 5s]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    duration: Option<Duration>,
    /// How often in that time
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_time)]
    interval: Duration,
    #[command(flatten)]
    world: WorldArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Predict {
    /// Watches, computes, and prints the forecasts.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let duration = match self.duration {
            Some(asked) => asked,
            None => watch(&Client::new(&self.api).get("vm.info").await?, self.bandwidth),
        };
        let request = DirtyTrace { interval: self.interval, duration };
        let before = CpuTimes::now();
        let Some(trace) = record(&self.api, request).await? else { return Ok(exit_status::INTERRUPTED) };
        let tape = Tape::new(trace);
        let mut world = self.world;
        if let (None, Some(before), Some(after)) = (world.cores, before, CpuTimes::now()) {
            world.cores = before.spare(after, world.threads());
        }
        let replay = world.replay(self.preset, self.bandwidth);
        let mut forecasts = vec![forecast(&replay, &tape)];
        forecasts.extend(by_predictors(&replay, &tape));
        let mut out = std::io::stdout().lock();
        if self.json {
            let document = json!({
                "preset": replay.scheme.name,
                "bandwidth": self.bandwidth,
                "budget_s": replay.downtime.as_secs_f64(),
                "cores": replay.model.coders.cores,
                "zstd_bytes_per_s": replay.model.coders.zstd(&tape.trace().about.content),
                "dirty_pages_per_s": tape.trace().dirty_pages_per_s(),
                "working_set_pages": tape.trace().working_set_pages(),
                "forecasts": forecasts,
            });
            writeln!(out, "{document:#}")?;
            return Ok(exit_status::OK);
        }
        writeln!(out, "{}", about(&tape))?;
        writeln!(
            out,
            "Lanes have {:.1} cores; zstd takes {}/s on one.",
            replay.model.coders.cores,
            show_bytes(replay.model.coders.zstd(&tape.trace().about.content))
        )?;
        for forecast in &forecasts {
            writeln!(out, "{}", line(forecast))?;
        }
        Ok(exit_status::OK)
    }
}

/// How long to watch the guest of `info` for a link of so many bytes per second. In a long first round a guest writes to more
/// pages than in two seconds.
fn watch(info: &Value, bandwidth: f64) -> Duration {
    const WATCH: [f64; 2] = [2.0, 5.0];
    let bytes = info["memory_actual_size"].as_u64().unwrap_or_default() as f64;
    Duration::from_secs_f64((bytes / bandwidth / 10.0).clamp(WATCH[0], WATCH[1]))
}

/// A forecast in a line.
fn line(forecast: &Forecast) -> String {
    let Forecast { by, total_s, downtime_s, bytes, converges, confidence, total_range_s, downtime_range_s } =
        forecast;
    format!(
        "{by:<5} {}: {} in all ({} to {}), {} down ({} to {}), {}; {:.0}% sure",
        if *converges { "comes within the budget" } else { "does not come within the budget" },
        show_seconds(*total_s),
        show_seconds(total_range_s.0),
        show_seconds(total_range_s.1),
        show_seconds(*downtime_s),
        show_seconds(downtime_range_s.0),
        show_seconds(downtime_range_s.1),
        show_bytes(*bytes),
        confidence * 100.0
    )
}

#[cfg(test)]
mod predict_test {
    use super::*;

    #[test]
    fn a_guest_is_watched_for_longer_where_it_takes_longer() {
        let info = json!({"memory_actual_size": 400_000_000});
        let seconds = |bandwidth| watch(&info, bandwidth).as_secs_f64();
        assert_eq!([1e9, 20e6, 10e6, 1e3].map(seconds), [2.0, 2.0, 4.0, 5.0]);
        assert_eq!(watch(&json!({}), 1e6).as_secs_f64(), 2.0, "one that does not tell");
    }
}
