//! `godwit resize-disk`: lets a running guest see a larger disk.

use std::path::PathBuf;

use clap::Args;

use super::{exit_status, units::parse_size};
use crate::api::{Client, ResizeDisk as Request};

/// Give a disk of a running guest a new size; disks only grow.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit resize-disk --api /tmp/a.sock --disk disk0 --size 20G
  godwit resize-disk --api /tmp/a.sock --disk disk1")]
pub struct ResizeDisk {
    /// The API socket of the process
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// Which disk: disk0 is the first that the process was given
    #[arg(long, value_name = "NAME", default_value = "disk0")]
    disk: String,
    /// The new size, to which an image's file is made to grow; without it, the size that the image has been given by now
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
}

impl ResizeDisk {
    /// Asks; the guest has been told when this returns.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let request = Request { id: self.disk, desired_size: self.size };
        Client::new(&self.api).put_with("vm.resize-disk", &request.body()).await?;
        Ok(exit_status::OK)
    }
}
