//! `godwit receive`: waits for a guest, and stays with it.

use std::path::PathBuf;

use clap::Args;
use godwit_transport::address::Address;

use super::machine_args::ConsoleArgs;
use crate::{IncomingConfig, control::process};

/// Wait for a guest that another godwit process moves here, and run it.
///
/// A source that fails or gives up leaves nothing behind: it is said on stderr, and the next one is waited for.
/// When a guest has arrived the process no longer listens; it lives as long as the guest does, which can move on
/// from here as it came.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit receive --listen tcp:127.0.0.1:4000
  godwit receive --listen unix:/tmp/b --api /tmp/b.sock --serial file=/tmp/log")]
#[group(id = "how to reach it", required = true, multiple = true, args = ["listen", "api"])]
pub struct Receive {
    /// Where to wait for the source: tcp:ADDR:PORT (port 0 takes a free one and says which) or unix:PATH; without
    /// it the process waits for vm.receive-migration on its API
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<Address>,
    /// Serve the API on this Unix socket
    #[arg(long, value_name = "PATH")]
    api: Option<PathBuf>,
    #[command(flatten)]
    console: ConsoleArgs,
}

impl Receive {
    /// Waits, and runs the guest that came to its end.
    pub fn execute(self) -> anyhow::Result<u8> {
        let config = IncomingConfig { serial: self.console.serial, dirty: self.console.dirty.into() };
        Ok(process::receive(config, self.listen, self.api)?)
    }
}
