//! `godwit serve`: a VMM process without a guest, for clients that speak Cloud Hypervisor's API.

use std::path::PathBuf;

use clap::Args;

use super::machine_args::{Dirty, SandboxArgs};
use crate::{
    control::process,
    sandbox::{Allowed, Sandbox},
};

/// Serve the API without a guest, and outlive each guest that it is told to make.
///
/// vm.create says what a guest is made of, vm.boot runs it, vm.receive-migration takes one in instead. A guest that ends or
/// moves away leaves the process serving; vmm.shutdown, or a signal, ends it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit serve --api /tmp/a.sock
  godwit serve --api /tmp/a.sock --allow /srv/vm7 --allow-read /boot/vmlinuz
  godwit serve --api /tmp/a.sock --allow /srv/vm7 --allow /dev/net/tun --state-dir /var/lib/godwit/vm7")]
pub struct Serve {
    /// Serve the API on this Unix socket
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// Let vm.create name this file, or what is in this folder, to be read and written: disks, files and sockets of
    /// consoles, /dev/net/tun for network cards; may be repeated
    #[arg(long, value_name = "PATH")]
    allow: Vec<PathBuf>,
    /// Let vm.create name this file, or what is in this folder, to be read only: kernels, RAM disks, disks with
    /// "readonly"; may be repeated
    #[arg(long, value_name = "PATH")]
    allow_read: Vec<PathBuf>,
    /// How pages that a guest writes during a migration are found
    #[arg(long, value_enum, default_value_t = Dirty::Log)]
    dirty: Dirty,
    /// Keep a small durable record of each migration in this directory, this process's own, so that after a crash it is
    /// known what became of the guest; without it nothing is kept
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    confined: SandboxArgs,
}

impl Serve {
    /// Serves until it is told to end.
    pub fn execute(self) -> anyhow::Result<u8> {
        let sandbox = Sandbox::from(self.confined);
        let allowed = Allowed { write: self.allow, read: self.allow_read };
        Ok(process::serve(self.dirty.into(), self.api, self.state_dir.as_deref(), &allowed, sandbox)?)
    }
}
