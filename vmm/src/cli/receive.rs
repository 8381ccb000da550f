//! `godwit receive`: waits for a guest, and stays with it.

use std::path::PathBuf;

use clap::Args;
use godwit_transport::address::Address;

use super::{
    device_args::DeviceArgs,
    machine_args::{ConsoleArgs, SandboxArgs},
    security_args::SecurityArgs,
};
use crate::{
    IncomingConfig,
    control::{Place, process},
    sandbox::Sandbox,
};

/// Wait for a guest that another godwit process moves here, and run it.
///
/// A source that fails or gives up leaves nothing behind: it is said on stderr, and the next one is waited for.
/// When a guest has arrived the process takes no other, and listens only for questions about it; it lives as long as the guest does, which can move on
/// from here as it came.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit receive --listen tcp:127.0.0.1:4000
  godwit receive --listen tcp:0.0.0.0:4000 --tls /tmp/tls --peer host-a.example
  godwit receive --listen unix:/tmp/b --api /tmp/b.sock --serial file=/tmp/log
  godwit receive --listen tcp:127.0.0.1:4000 --disk path=/srv/a.img

The devices of the guest that comes must be given here again: this side's paths, as many as it has.")]
#[group(id = "how to reach it", required = true, multiple = true, args = ["listen", "api"])]
pub struct Receive {
    /// Where to wait for the source: tcp:ADDR:PORT (port 0 takes a free one and says which) or unix:PATH; without
    /// it the process waits for vm.receive-migration on its API
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<Address>,
    /// Serve the API on this Unix socket
    #[arg(long, value_name = "PATH")]
    api: Option<PathBuf>,
    /// Keep a small durable record of each migration in this directory, this process's own, so that after a crash it is
    /// known what became of the guest; without it nothing is kept
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    security: SecurityArgs,
    #[command(flatten)]
    console: ConsoleArgs,
    #[command(flatten)]
    devices: DeviceArgs,
    #[command(flatten)]
    confined: SandboxArgs,
}

impl Receive {
    /// Waits, and runs the guest that came to its end.
    pub fn execute(self) -> anyhow::Result<u8> {
        let config = IncomingConfig {
            serial: self.console.serial,
            dirty: self.console.dirty.into(),
            devices: self.devices.into(),
        };
        if self.listen.is_none() && self.security.is_given() {
            anyhow::bail!(
                "--tls, --peer and --insecure are for --listen; vm.receive-migration says for itself how it is protected"
            );
        }
        let security = self.security.security()?;
        let protection = security.of_target()?;
        let mut sandbox = Sandbox::from(self.confined);
        // A guest that came in by these certificates may leave by them.
        sandbox.api_dirs.extend(security.tls_dir);
        let place = self.listen.map(|address| Place { address, protection });
        Ok(process::receive(config, place, self.api, self.state_dir.as_deref(), sandbox)?)
    }
}
