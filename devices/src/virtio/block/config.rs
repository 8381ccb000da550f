//! What a disk is asked to be: Cloud Hypervisor's `DiskConfig` in JSON, and the same keys on the command line.

use std::{path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    options::{OptionError, Options},
    rate_limiter::{RATE_LIMITER_KEYS, RateLimiterConfig},
};

/// Most queues of a disk: one for each vCPU that there can be.
pub const MAX_DISK_QUEUES: u16 = 16;
/// Largest queue.
pub const MAX_DISK_QUEUE_SIZE: u16 = 1024;
/// Smallest queue: a request is a header, data and a status.
const MIN_QUEUE_SIZE: u16 = 4;
/// Bytes of a disk's serial number (virtio 1.2 §5.2.6, VIRTIO_BLK_T_GET_ID).
pub const SERIAL_BYTES: usize = 20;

const WHAT: &str = "a disk";
const OWN_KEYS: [&str; 7] =
    ["path", "readonly", "direct", "num_queues", "queue_size", "serial", "image_type"];

/// A disk, over a raw image or a block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// The image's file, or the block device.
    pub path: PathBuf,
    /// The guest can read it only; then several guests can share it.
    #[serde(default)]
    pub readonly: bool,
    /// Past the host's page cache (O_DIRECT).
    #[serde(default)]
    pub direct: bool,
    /// Number of queues, 1 to [`MAX_DISK_QUEUES`].
    #[serde(default = "one")]
    pub num_queues: u16,
    /// Most requests in a queue: a power of two from 4 to [`MAX_DISK_QUEUE_SIZE`].
    #[serde(default = "default_queue_size")]
    pub queue_size: u16,
    /// Serial number that the guest sees, at most [`SERIAL_BYTES`] bytes of ASCII.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// What the image is; where it is not said, an image that looks like another format's is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_type: Option<ImageType>,
    /// What it may move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiter_config: Option<RateLimiterConfig>,
}

/// How an image holds its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageType {
    /// Byte for byte.
    Raw,
}

fn one() -> u16 {
    1
}

/// With room for a request of 1 MiB in scattered pages, nearly: a driver splits what does not fit.
fn default_queue_size() -> u16 {
    256
}

impl DiskConfig {
    /// A disk over `path` with the defaults.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readonly: false,
            direct: false,
            num_queues: one(),
            queue_size: default_queue_size(),
            serial: None,
            image_type: None,
            rate_limiter_config: None,
        }
    }

    /// Most entries of each of its queues.
    #[must_use]
    pub fn queue_sizes(&self) -> Vec<u16> {
        vec![self.queue_size; self.num_queues.into()]
    }

    /// Whether the values can be: those from JSON have not been looked at.
    ///
    /// # Errors
    /// The first that cannot, and what may be.
    pub fn check(&self) -> Result<(), OptionError> {
        if self.path.as_os_str().is_empty() {
            return Err(OptionError::new("'path' of a disk is empty; it must be a file or a block device"));
        }
        if !(1..=MAX_DISK_QUEUES).contains(&self.num_queues) {
            let wrong = self.num_queues;
            return Err(OptionError::new(format!(
                "'num_queues' of a disk is {wrong}; it must be 1 to {MAX_DISK_QUEUES}"
            )));
        }
        let sizes = MIN_QUEUE_SIZE..=MAX_DISK_QUEUE_SIZE;
        if !sizes.contains(&self.queue_size) || !self.queue_size.is_power_of_two() {
            let wrong = self.queue_size;
            return Err(OptionError::new(format!(
                "'queue_size' of a disk is {wrong}; it must be a power of two from {MIN_QUEUE_SIZE} to {MAX_DISK_QUEUE_SIZE}"
            )));
        }
        let serial = self.serial.as_deref().unwrap_or_default();
        if serial.len() > SERIAL_BYTES || !serial.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OptionError::new(format!(
                "'serial' of a disk is {serial:?}; it must be at most {SERIAL_BYTES} printable ASCII characters"
            )));
        }
        Ok(())
    }
}

impl FromStr for DiskConfig {
    type Err = OptionError;

    /// `path=F,readonly=on,…`
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let known: Vec<_> = OWN_KEYS.into_iter().chain(RATE_LIMITER_KEYS).collect();
        let mut options = Options::parse(WHAT, &known, text)?;
        let path = options.path("path")?.ok_or_else(|| options.missing("path", "/srv/disk.img"))?;
        let number = |text: &str| text.parse().ok();
        let config = Self {
            path,
            readonly: options.switch("readonly")?,
            direct: options.switch("direct")?,
            num_queues: options.read("num_queues", "a number", number)?.unwrap_or_else(one),
            queue_size: options.read("queue_size", "a number", number)?.unwrap_or_else(default_queue_size),
            serial: options.text("serial").map(str::to_owned),
            image_type: options.read("image_type", "raw, the only format that godwit reads", |text| {
                text.eq_ignore_ascii_case("raw").then_some(ImageType::Raw)
            })?,
            rate_limiter_config: RateLimiterConfig::take(&mut options)?,
        };
        config.check()?;
        Ok(config)
    }
}
