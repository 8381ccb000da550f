//! `godwit lab sweep`: many replays, and a table of them.

use std::{io::Write, path::PathBuf};

use clap::Args;
use godwit_lab::{
    compare::{Row, csv, text},
    trace::{Tape, synth::Synth},
};
use godwit_migration::preset::{PRESETS, Scheme};

use super::{
    pool, read_trace,
    run::parse_scheme,
    world::{GuestArgs, WorldArgs, parse_rate, parse_workload},
};
use crate::cli::exit_status;

/// Replay every preset on every trace at every bandwidth, and print a table.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit lab sweep --workload idle --workload 'uniform,rate=50000,working_set=128M'
  godwit lab sweep --workload hot --preset precopy --preset clark2005 --bandwidth 125MB/s --bandwidth 1GB/s --json")]
pub struct Sweep {
    /// A recorded or made-up trace; may be given several times
    #[arg(long, value_name = "FILE", required_unless_present = "workload")]
    trace: Vec<PathBuf>,
    /// A workload, as `lab run` takes it; may be given several times
    #[arg(long, value_name = "WORKLOAD", value_parser = parse_workload)]
    workload: Vec<Synth>,
    /// A scheme; may be given several times [default: every preset]
    #[arg(long, value_name = "NAME", value_parser = parse_scheme)]
    preset: Vec<Scheme>,
    /// The link's rate; may be given several times
    #[arg(long, value_name = "RATE", default_value = "125MB/s", value_parser = parse_rate)]
    bandwidth: Vec<f64>,
    /// Replay every cell so often, each time beginning elsewhere in the trace
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    world: WorldArgs,
    /// Print a table in CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Sweep {
    /// Replays all, and prints the table.
    pub fn execute(self) -> anyhow::Result<u8> {
        let mut tapes: Vec<(String, Tape)> = vec![];
        for path in &self.trace {
            tapes.push((path.display().to_string(), read_trace(path)?));
        }
        let made = pool::map("making up traces", &self.workload, |workload| {
            self.guest.trace(workload).map(Tape::new)
        });
        for (workload, tape) in self.workload.iter().zip(made) {
            tapes.push((workload.name.clone(), tape?));
        }
        let schemes = if self.preset.is_empty() {
            PRESETS.iter().map(Scheme::of).collect()
        } else {
            self.preset.clone()
        };
        let mut cells = vec![];
        for (name, tape) in &tapes {
            for &bandwidth in &self.bandwidth {
                for scheme in &schemes {
                    cells.extend((0..self.repeat).map(|n| (name, tape, bandwidth, scheme, n)));
                }
            }
        }
        let rows = pool::map("replaying", &cells, |(name, tape, bandwidth, scheme, n)| {
            let mut replay = self.world.replay((*scheme).clone(), *bandwidth);
            replay.start = tape.trace().length() * *n / self.repeat;
            Row::of(name, *bandwidth, &replay.run(tape))
        });
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &rows)?;
            writeln!(out)?;
        } else if self.csv {
            write!(out, "{}", csv(&rows))?;
        } else {
            write!(out, "{}", text(&rows))?;
        }
        Ok(exit_status::OK)
    }
}
