//! `godwit resize` and `godwit counters`: the balloon of a running guest, and what it tells.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{exit_status, units::parse_size};
use crate::api::{Client, Resize as Request};

/// Ask a running guest for memory, or give it back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit resize --api /tmp/a.sock --balloon 512M
  godwit resize --api /tmp/a.sock --balloon 0")]
pub struct Resize {
    /// The API socket of the process, which was given --balloon
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// How much of its memory the guest shall give back, all in all
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    balloon: u64,
}

impl Resize {
    /// Asks; the guest has been told when this returns, and gives or takes when it can.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let request = Request { desired_balloon: Some(self.balloon) };
        Client::new(&self.api).put_with("vm.resize", &request.body()).await?;
        Ok(exit_status::OK)
    }
}

/// Show what the devices of a guest count, and what the guest tells of its memory.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  godwit counters --api /tmp/a.sock")]
pub struct Counters {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
}

impl Counters {
    /// Prints the API's document.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let document = Client::new(&self.api).get("vm.counters").await?;
        writeln!(std::io::stdout().lock(), "{document:#}")?;
        Ok(exit_status::OK)
    }
}
