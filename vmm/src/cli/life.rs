//! The subcommands for guests of `godwit serve`: create, boot, reboot, delete.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

use super::{client_commands::put, exit_status};
use crate::api::{Client, MAX_BODY_BYTES};

/// Say what the next guest of a `godwit serve` is made of.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit create --api /tmp/a.sock --config vm.json
  godwit create --api /tmp/a.sock --config -

with vm.json such as
  {\"payload\": {\"kernel\": \"builtin:load\"}, \"memory\": {\"size\": 134217728}, \"serial\": {\"mode\": \"Tty\"}}

Paths in it are those that the process sees.")]
pub struct Create {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// The configuration, the body of the API's vm.create (JSON); - for stdin
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Create {
    /// Hands the configuration over; nothing is made yet when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let config = read(&self.config)?;
        Client::new(&self.api).put_with("vm.create", &config).await?;
        Ok(exit_status::OK)
    }
}

/// A document from a file or stdin.
fn read(path: &Path) -> anyhow::Result<serde_json::Value> {
    let from: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("--config {}", path.display()))?)
    };
    let mut text = String::new();
    let cannot = || format!("--config {} cannot be read", path.display());
    from.take(MAX_BODY_BYTES as u64 + 1).read_to_string(&mut text).with_context(cannot)?;
    if text.len() > MAX_BODY_BYTES {
        anyhow::bail!("--config {} is longer than {MAX_BODY_BYTES} bytes", path.display());
    }
    serde_json::from_str(&text).with_context(|| format!("--config {} is not JSON", path.display()))
}

/// Make the guest that was created, and run it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit boot --api /tmp/a.sock")]
pub struct Boot {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
}

impl Boot {
    /// Boots; the guest runs when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        put(&self.api, "vm.boot").await
    }
}

/// End a guest at once, and boot it anew.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit reboot --api /tmp/a.sock")]
pub struct Reboot {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
}

impl Reboot {
    /// Reboots; the guest runs anew when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        put(&self.api, "vm.reboot").await
    }
}

/// End a guest at once, if it runs, and forget what it was made of; the process serves on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit delete --api /tmp/a.sock")]
pub struct Delete {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
}

impl Delete {
    /// Deletes; there is no guest when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        put(&self.api, "vm.delete").await
    }
}
