//! What is saved of a disk itself: what its guest sees of it. What it holds is in the image.

use godwit_state::Schema;
use serde::{Deserialize, Serialize};

use super::config::SERIAL_BYTES;

/// State of a disk, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockState {
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// It cannot be written.
    pub read_only: bool,
    /// Serial number, padded by zeroes.
    pub serial: [u8; SERIAL_BYTES],
}

impl Schema for BlockState {
    const KIND: &'static str = "virtio-blk";
    const VERSION: u16 = 1;
}

impl BlockState {
    /// Whether a guest that saw `saved` sees no difference: every one, in words.
    pub(super) fn fits(&self, saved: &Self) -> Result<(), String> {
        let mut reasons = Vec::new();
        if self.sectors != saved.sectors {
            reasons
                .push(format!("the guest's disk has {} sectors, this has {}", saved.sectors, self.sectors));
        }
        if self.block_bytes != saved.block_bytes {
            reasons.push(format!(
                "the guest's disk has blocks of {} bytes, this has blocks of {} (direct=on decides that)",
                saved.block_bytes, self.block_bytes
            ));
        }
        if self.read_only != saved.read_only {
            let guest = if saved.read_only { "can only be read" } else { "can be written" };
            reasons.push(format!("the guest's disk {guest}; say the same here with readonly"));
        }
        if self.serial != saved.serial {
            let [guest, here] =
                [&saved.serial, &self.serial].map(|one| String::from_utf8_lossy(one).replace('\0', ""));
            reasons.push(format!("the guest's disk has the serial number {guest:?}, this has {here:?}"));
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }
}
