//! `godwit lab run`: one replay, and its report.

use std::{io::Write, path::PathBuf};

use clap::Args;
use godwit_lab::trace::{Tape, synth::Synth};
use godwit_migration::preset::{Overrides, PRESETS, Scheme};

use super::{
    read_trace,
    world::{GuestArgs, WorldArgs, about, parse_rate, parse_workload},
};
use crate::cli::{exit_status, report_text};

/// Replay one migration over a trace or a workload, and print its report.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit lab run --workload 'uniform,rate=50000,working_set=128M' --bandwidth 125MB/s
  godwit lab run --workload hot,rate=20000 --preset clark2005 --downtime 10ms --json")]
pub struct Run {
    /// A recorded or made-up trace
    #[arg(long, value_name = "FILE", conflicts_with = "workload", required_unless_present = "workload")]
    trace: Option<PathBuf>,
    /// A workload: idle, sequential, uniform, hot or phases, with rate=, working_set= and more after commas
    #[arg(long, value_name = "WORKLOAD", value_parser = parse_workload)]
    workload: Option<Synth>,
    /// The scheme: a preset, with parameter=value after commas [default: the first of `godwit presets`]
    #[arg(long, value_name = "NAME", default_value = PRESETS[0].name, hide_default_value = true, value_parser = parse_scheme)]
    preset: Scheme,
    /// The link's rate
    #[arg(long, value_name = "RATE", default_value = "125MB/s", value_parser = parse_rate)]
    bandwidth: f64,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    world: WorldArgs,
    /// Print the report as one JSON document
    #[arg(long)]
    json: bool,
}

/// A scheme by its words.
pub fn parse_scheme(text: &str) -> Result<Scheme, String> {
    Scheme::parse(text, &Overrides::default())
}

impl Run {
    /// Replays, and prints the report.
    pub fn execute(self) -> anyhow::Result<u8> {
        let tape = match (&self.trace, &self.workload) {
            (Some(path), _) => read_trace(path)?,
            (None, Some(workload)) => Tape::new(self.guest.trace(workload)?),
            (None, None) => anyhow::bail!("neither --trace nor --workload was given; one of them is needed"),
        };
        let played = self.world.replay(self.preset, self.bandwidth).run(&tape);
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &played.report)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", about(&tape))?;
            write!(out, "{}", report_text::text(&played.report))?;
            writeln!(out, "the guest kept {:.1}% of its time", played.kept * 100.0)?;
        }
        Ok(exit_status::OK)
    }
}
