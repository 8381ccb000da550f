//! `godwit lab synth`: writes a made-up trace.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use godwit_lab::trace::{Tape, synth::Synth};

use super::{
    world::{GuestArgs, about, parse_workload},
    write_file,
};
use crate::{
    cli::{exit_status, units::parse_time},
    control::notice,
};

/// Make a dirty trace up and write it to a file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit lab synth --workload 'uniform,rate=50000,working_set=128M' -o uniform.trace
  godwit lab synth --workload phases,turn=3 --memory 2G --for 30s -o phases.trace")]
pub struct MakeUp {
    /// The workload, as `lab run` takes it
    #[arg(long, value_name = "WORKLOAD", value_parser = parse_workload)]
    workload: Synth,
    /// Where the trace goes
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Length of an interval, such as 10ms
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_time)]
    interval: Duration,
    /// Guest time that it covers
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    length: Duration,
    #[command(flatten)]
    guest: GuestArgs,
}

impl MakeUp {
    /// Makes the trace and writes it.
    pub fn execute(mut self) -> anyhow::Result<u8> {
        self.workload.interval = self.interval;
        self.workload.length = self.length;
        let trace = self.guest.trace(&self.workload)?;
        let mut bytes = vec![];
        trace.write(&mut bytes)?;
        write_file(&self.out, &bytes)?;
        notice(about(&Tape::new(trace)));
        Ok(exit_status::OK)
    }
}
