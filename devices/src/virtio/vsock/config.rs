//! What the user says of a vsock device, in Cloud Hypervisor's words.

use std::{os::unix::ffi::OsStrExt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use super::sys::PATH_BYTES;
use crate::options::{OptionError, Options};

/// Most entries of each of its queues: to the guest, from it, events.
pub const QUEUE_SIZES: &[u16] = &[256, 256, 64];
/// The addresses that a guest can have; 0 to 2 and the last one mean somebody else.
const LEAST_CID: u32 = 3;
const MOST_CID: u32 = u32::MAX - 1;
/// Longest end of a path for a port: `_4294967295`.
const SUFFIX_BYTES: usize = 11;

/// A vsock device. On the command line `cid=3,socket=PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockConfig {
    /// The guest's address, 3 to 4294967294.
    pub cid: u32,
    /// Where the host connects to the guest. A connection of the guest to a port of the host goes to the socket of this
    /// path with `_PORT` behind it.
    pub socket: PathBuf,
}

impl VsockConfig {
    /// Most entries of each of its queues.
    #[must_use]
    pub fn queue_sizes(&self) -> Vec<u16> {
        QUEUE_SIZES.to_vec()
    }

    /// Whether there can be such a device.
    ///
    /// # Errors
    /// The first field that cannot be, what it holds and what may stand there.
    pub fn check(&self) -> Result<(), OptionError> {
        if !(LEAST_CID..=MOST_CID).contains(&self.cid) {
            let cid = self.cid;
            return Err(OptionError::new(format!(
                "'cid' of a vsock device is {cid}; it must be {LEAST_CID} to {MOST_CID}"
            )));
        }
        let (bytes, most) = (self.socket.as_os_str().as_bytes().len(), PATH_BYTES - SUFFIX_BYTES);
        if bytes == 0 || bytes > most {
            return Err(OptionError::new(format!(
                "'socket' of a vsock device has {bytes} bytes; it must be a path of 1 to {most}, so that '_PORT' fits behind it"
            )));
        }
        Ok(())
    }
}

impl FromStr for VsockConfig {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let mut options = Options::parse("a vsock device", &["cid", "socket"], text)?;
        let may_be = format!("a number from {LEAST_CID} to {MOST_CID}");
        let cid = options.read("cid", &may_be, |value| value.parse().ok())?;
        let socket = options.path("socket")?;
        let config = Self {
            cid: cid.ok_or_else(|| options.missing("cid", "3"))?,
            socket: socket.ok_or_else(|| options.missing("socket", "/run/guest.vsock"))?,
        };
        config.check()?;
        Ok(config)
    }
}
