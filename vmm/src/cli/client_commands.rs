//! The subcommands that ask a process for one thing: cancel, limit, info, pause, resume, shutdown. Neighbour: `life`.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;

use super::{
    exit_status,
    units::{Cap, parse_cap, show_bytes},
};
use godwit_devices::GuestPanic;

use crate::api::{Client, SetBandwidth, VmInfo};

/// Give up the migration that a process is doing; the guest goes on where it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit cancel --api /tmp/a.sock")]
pub struct Cancel {
    /// The API socket of the source, or of the target
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
}

impl Cancel {
    /// Asks for the cancellation; it has been taken in when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        put(&self.api, "vm.cancel-migration").await
    }
}

/// Change the bandwidth cap of the migration that a process is doing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit limit --api /tmp/a.sock --bandwidth 50MB/s
  godwit limit --api /tmp/a.sock --bandwidth none")]
pub struct Limit {
    /// The API socket of the source
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// All lanes together take no more than this from now on, such as 50MB/s; none for as fast as it goes
    #[arg(long, value_name = "RATE", value_parser = parse_cap)]
    bandwidth: Cap,
}

impl Limit {
    /// Sets the cap; it holds when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let request = SetBandwidth { bandwidth: self.bandwidth.0 };
        Client::new(&self.api).put_with("vm.migration-bandwidth", &request.body()).await?;
        Ok(exit_status::OK)
    }
}

/// Stop a guest's vCPUs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit pause --api /tmp/a.sock")]
pub struct Pause {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
}

impl Pause {
    /// Pauses; the guest stands still when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        put(&self.api, "vm.pause").await
    }
}

/// Let a paused guest go on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit resume --api /tmp/a.sock")]
pub struct Resume {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
}

impl Resume {
    /// Resumes; the guest runs when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        put(&self.api, "vm.resume").await
    }
}

/// End a process and its guest.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  godwit shutdown --api /tmp/a.sock\n  godwit shutdown --power-button --api /tmp/a.sock"
)]
pub struct Shutdown {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// Press the guest's power button instead: the guest shuts down by itself, if it listens to it
    #[arg(long)]
    power_button: bool,
}

impl Shutdown {
    /// Ends the process, or asks the guest to end itself.
    pub async fn execute(self) -> anyhow::Result<u8> {
        put(&self.api, if self.power_button { "vm.power-button" } else { "vmm.shutdown" }).await
    }
}

/// Show what a process runs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit info --api /tmp/a.sock")]
pub struct Info {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// Print the API's document
    #[arg(long)]
    json: bool,
}

impl Info {
    /// Prints the machine and its state.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let document = Client::new(&self.api).get("vm.info").await?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{document:#}")?;
            return Ok(exit_status::OK);
        }
        let info: VmInfo = serde_json::from_value(document).context("the process answered no vm.info")?;
        let payload = &info.config.payload;
        writeln!(out, "state    {:?}", info.state)?;
        writeln!(out, "memory   {}", show_bytes(info.memory_actual_size as f64))?;
        writeln!(out, "vCPUs    {}", info.config.cpus.boot_vcpus)?;
        let kernel = payload.kernel.as_ref().map(ToString::to_string);
        writeln!(out, "kernel   {}", kernel.as_deref().unwrap_or("(came from another process)"))?;
        for (number, disk) in info.config.devices.disks.iter().enumerate() {
            writeln!(
                out,
                "disk{number}    {}{}",
                disk.path.display(),
                if disk.readonly { " (readonly)" } else { "" }
            )?;
        }
        if let Some(cmdline) = &payload.cmdline {
            writeln!(out, "cmdline  {cmdline}")?;
        }
        if let Some(initrd) = &payload.initramfs {
            writeln!(out, "initrd   {}", initrd.display())?;
        }
        if let Some(ended) = &info.ended {
            writeln!(out, "ended    {ended}")?;
        }
        match info.guest_panic {
            Some(GuestPanic::Panicked) => writeln!(out, "guest    panicked")?,
            Some(GuestPanic::CrashLoaded) => writeln!(out, "guest    panicked; its crash kernel took over")?,
            None => {}
        }
        if let Some(migration) = &info.migration {
            writeln!(out, "outcome  {}", migration.outcome)?;
            writeln!(out, "peer     {}", migration.peer)?;
            writeln!(out, "known    {}", migration.known)?;
        }
        Ok(exit_status::OK)
    }
}

pub(super) async fn put(api: &std::path::Path, name: &'static str) -> anyhow::Result<u8> {
    Client::new(api).put(name).await?;
    Ok(exit_status::OK)
}
