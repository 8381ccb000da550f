//! `godwit run`: boots a guest and stays with it.

use std::path::PathBuf;

use clap::Args;

use super::{
    device_args::DeviceArgs,
    machine_args::{ConsoleArgs, SandboxArgs},
    units::parse_size,
};
use crate::{
    api::{Cpus, Memory, Payload, VmConfig},
    boot::Kernel,
    control::process,
};

/// Boot a guest.
///
/// The process lives as long as its guest. When the guest has moved to another process this one ends with status 0;
/// when a migration fails it says why on stderr and the guest goes on here.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit run --kernel builtin:load
  godwit run --kernel builtin:load --memory 128M --cmdline 'rate=2000 duration=5'
  godwit run --kernel builtin:load --cpus 2 --serial file=/tmp/log --api /tmp/a.sock
  godwit run --kernel vmlinuz --initrd initramfs.cpio --cmdline console=ttyS0
  godwit run --kernel vmlinuz --cmdline 'console=ttyS0 root=/dev/vda' --disk path=/srv/a.img --disk path=/srv/b.img,readonly=on

On a terminal, keys go to the guest, Ctrl-C too; Ctrl-A x ends the process.")]
pub struct Run {
    /// The kernel: a bzImage, an ELF vmlinux or an ELF with a PVH note; builtin:load is the guest for trying
    /// migrations out that godwit brings along
    #[arg(long, value_name = "FILE")]
    kernel: Kernel,
    /// The initial RAM disk
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    cmdline: String,
    /// Guest memory, from 32M in steps of 2M
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_size)]
    memory: u64,
    /// Number of vCPUs, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1)]
    cpus: u8,
    #[command(flatten)]
    console: ConsoleArgs,
    #[command(flatten)]
    devices: DeviceArgs,
    #[command(flatten)]
    confined: SandboxArgs,
    /// Serve the API on this Unix socket
    #[arg(long, value_name = "PATH")]
    api: Option<PathBuf>,
    /// Keep a small durable record of each migration in this directory, this process's own, so that after a crash it is
    /// known what became of the guest; without it nothing is kept
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Run {
    /// Runs the guest to its end.
    pub fn execute(self) -> anyhow::Result<u8> {
        let config = VmConfig {
            cpus: Cpus::of(self.cpus),
            memory: Memory { size: self.memory },
            payload: Payload {
                kernel: Some(self.kernel),
                cmdline: Some(self.cmdline),
                initramfs: self.initrd,
            },
            serial: self.console.serial,
            devices: self.devices.into(),
        };
        let dirty = self.console.dirty.into();
        Ok(process::run(config, dirty, self.api, self.state_dir.as_deref(), self.confined.into())?)
    }
}
