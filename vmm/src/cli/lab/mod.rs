//! `godwit lab`: compares schemes on virtual time. The lab itself knows no file, thread or clock: these commands read and
//! write its files, spread its replays over the cores, and print what came of them.

mod check;
mod pool;
mod run;
mod study;
mod sweep;
mod synth;
mod trace_file;
mod world;
#[cfg(test)]
mod world_test;

use clap::{Args, Subcommand};

pub use run::parse_scheme;
pub use trace_file::{read_trace, write_file};
pub use world::{WorldArgs, about, parse_rate};

/// Compare schemes of migration on virtual time, over recorded or made-up dirty traces.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit lab run --workload 'uniform,rate=50000,working_set=128M' --preset clark2005
  godwit lab sweep --workload idle --workload hot,rate=20000 --bandwidth 125MB/s --bandwidth 12.5MB/s --csv
  godwit lab study --size ci -o study.html
  godwit lab synth --workload phases -o phases.trace")]
pub struct Lab {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Sweep(sweep::Sweep),
    Study(study::Study),
    Synth(synth::MakeUp),
    Check(check::Check),
}

impl Lab {
    /// Does what the subcommand says.
    pub fn execute(self) -> anyhow::Result<u8> {
        match self.command {
            Command::Run(run) => run.execute(),
            Command::Sweep(sweep) => sweep.execute(),
            Command::Study(study) => study.execute(),
            Command::Synth(synth) => synth.execute(),
            Command::Check(check) => check.execute(),
        }
    }
}
