//! `godwit trace`: records which pages a running guest writes.

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use godwit_lab::trace::{Tape, Trace as DirtyPages};

use super::{
    exit_status,
    lab::{about, write_file},
    units::parse_time,
};
use crate::api::{Client, DirtyTrace};

/// Record which pages a running guest writes, for `godwit lab`.
///
/// The guest's writes are tracked while it is recorded, which slows it a little, and never afterwards, also where this
/// command is interrupted. No migration can begin meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit trace --api /tmp/a.sock -o guest.trace
  godwit trace --api /tmp/a.sock --interval 20ms --for 30s -o guest.trace")]
pub struct Trace {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// Length of an interval: finer ones tell more of short rounds, and slow the guest more
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_time)]
    interval: Duration,
    /// How long it is recorded
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    duration: Duration,
    /// Where the trace goes
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

impl Trace {
    /// Records, and writes the file.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let request = DirtyTrace { interval: self.interval, duration: self.duration };
        let Some(trace) = record(&self.api, request).await? else { return Ok(exit_status::INTERRUPTED) };
        let mut bytes = vec![];
        trace.write(&mut bytes)?;
        write_file(&self.out, &bytes)?;
        writeln!(std::io::stdout().lock(), "{}", about(&Tape::new(trace)))?;
        Ok(exit_status::OK)
    }
}

/// Records a trace of the guest behind `api`. Nothing where Ctrl-C came first: the process stops by itself then.
///
/// # Errors
/// What the process says, or that its answer is no trace.
pub async fn record(api: &std::path::Path, request: DirtyTrace) -> anyhow::Result<Option<DirtyPages>> {
    let client = Client::new(api);
    let body = request.body();
    let bytes = tokio::select! {
        bytes = client.put_for_file("vm.dirty-trace", &body) => bytes?,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot wait for Ctrl-C")?;
            return Ok(None);
        }
    };
    DirtyPages::read(&bytes[..]).map(Some).context("the process answered with what is no dirty trace")
}
