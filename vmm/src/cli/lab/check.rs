//! `godwit lab check`: the lab against a migration that was real.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;
use godwit_lab::{compare, replay::Coders};
use godwit_migration::report::Report;

use super::{read_trace, world::parse_cores};
use crate::cli::exit_status;

/// Largest report that is read.
const MAX_REPORT_BYTES: u64 = 16 << 20;

/// Replay a real migration over a trace of its guest, and say how far the lab is from what happened.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  godwit lab check --trace guest.trace --report report.json")]
pub struct Check {
    /// A trace recorded of the guest before it moved, by `godwit trace`
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// What `godwit migrate --json` printed
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// Cores of a side that lanes could use, such as 1.5 [default: 2]
    #[arg(long, value_name = "N", value_parser = parse_cores)]
    cores: Option<f64>,
    /// Source and target were one host, so their lanes shared its cores
    #[arg(long)]
    one_host: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Replays, and prints the differences.
    pub fn execute(self) -> anyhow::Result<u8> {
        let path = self.report.display();
        let length =
            std::fs::metadata(&self.report).with_context(|| format!("cannot read the report {path}"))?.len();
        anyhow::ensure!(
            length <= MAX_REPORT_BYTES,
            "the report {path} has {length} bytes; it may have {MAX_REPORT_BYTES}"
        );
        let text = std::fs::read(&self.report).with_context(|| format!("cannot read the report {path}"))?;
        let report: Report = serde_json::from_slice(&text)
            .with_context(|| format!("{path} is no report of `godwit migrate --json`"))?;
        let tape = read_trace(&self.trace)?;
        let mut coders = Coders { one_host: self.one_host, ..Coders::default() };
        coders.cores = self.cores.unwrap_or(coders.cores);
        let figures = compare::check(&tape, &report, coders)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("{path} cannot be checked"))?;
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &figures)?;
            writeln!(out)?;
            return Ok(exit_status::OK);
        }
        writeln!(out, "{:<12} {:>14} {:>14} {:>8}", "", "lab", "real", "lab by")?;
        for figure in &figures {
            writeln!(
                out,
                "{:<12} {:>14.4} {:>14.4} {:>+7.1}%",
                figure.what, figure.lab, figure.real, figure.percent
            )?;
        }
        Ok(exit_status::OK)
    }
}
