//! How a network card is asked for: Cloud Hypervisor's `NetConfig` in JSON, and its keys on the command line.

use std::{io, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Mac, TapError, features};
use crate::{
    options::{OptionError, Options},
    rate_limiter::{RATE_LIMITER_KEYS, RateLimiterConfig},
};

/// MTU where none was asked for: that of Ethernet.
pub const DEFAULT_MTU: u16 = 1500;
/// The least MTU that an IPv4 host may have.
const LEAST_MTU: u16 = 68;
const DEFAULT_QUEUE_SIZE: u16 = 256;
/// The least with which Linux always goes on. It gives new buffers when half of the old ones are used, of 1.5 KiB where frames were
/// small: a frame of 64 KiB must find room in the other half, or waits, and all behind it. With 16 entries it does not even send
/// more than one frame: it wants room for one in 19 pieces.
const LEAST_QUEUE_SIZE: u16 = 128;
const MOST_QUEUE_SIZE: u16 = 1024;
/// Size of the control queue.
const CONTROL_SIZE: u16 = 64;
/// A pair: one to receive, one to send.
const QUEUES: u16 = 2;
/// Eight pairs: nothing here makes more than the frames of so many vCPUs at once.
const MOST_QUEUES: u16 = 16;

/// What `num_queues` may be.
const MAY_BE_QUEUES: &str = "an even number from 2 to 16, two for each pair";

/// What `queue_size` may be.
const MAY_BE_SIZE: &str = "a power of two from 128 to 1024";

const OWN_KEYS: [&str; 9] =
    ["tap", "fd", "mac", "mtu", "num_queues", "queue_size", "offload_tso", "offload_ufo", "offload_csum"];
/// The keys of a network card on the command line.
pub const NET_KEYS: [&str; OWN_KEYS.len() + RATE_LIMITER_KEYS.len()] = {
    let mut keys = [""; OWN_KEYS.len() + RATE_LIMITER_KEYS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = if at < OWN_KEYS.len() { OWN_KEYS[at] } else { RATE_LIMITER_KEYS[at - OWN_KEYS.len()] };
        at += 1;
    }
    keys
};

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetConfig {
    /// Name of the tap on the host; made where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap: Option<String>,
    /// Instead of a name: the descriptors of the queues of an open tap, which the process was started with. One for each
    /// pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fds: Option<Vec<i32>>,
    /// Address of the guest's card. Absent: a random one, or that of the guest that arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Largest packet in bytes, for the guest, and for the tap where it is named. Absent: 1500, or that of the guest that
    /// arrives, and the tap as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Number of queues, both directions counted: an even number up to 16.
    #[serde(default = "queues")]
    pub num_queues: u16,
    /// Entries of each queue, a power of two from 128 to 1024.
    #[serde(default = "queue_size")]
    pub queue_size: u16,
    /// TCP segments are cut by whoever is last.
    #[serde(default = "yes")]
    pub offload_tso: bool,
    /// UDP datagrams too.
    #[serde(default = "yes")]
    pub offload_ufo: bool,
    /// And checksums are computed by it, without which the other two are off.
    #[serde(default = "yes")]
    pub offload_csum: bool,
    /// Limits for each direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiter_config: Option<RateLimiterConfig>,
}

fn queues() -> u16 {
    QUEUES
}

fn queue_size() -> u16 {
    DEFAULT_QUEUE_SIZE
}

fn yes() -> bool {
    true
}

/// Why a network card cannot be.
#[derive(Debug, Error)]
pub enum NetError {
    /// No tap, or two.
    #[error("a network card needs its tap, either tap=NAME or fd=NUMBER")]
    Tap,
    /// The tap cannot be had.
    #[error(transparent)]
    Refused(#[from] TapError),
    /// A value that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The host is short of something.
    #[error("the host cannot make a network card: {0}")]
    Host(io::Error),
}

impl NetConfig {
    /// A card on the tap `name`, otherwise as it comes.
    #[must_use]
    pub fn on_tap(name: &str) -> Self {
        Self {
            tap: Some(name.into()),
            fds: None,
            mac: None,
            mtu: None,
            num_queues: QUEUES,
            queue_size: DEFAULT_QUEUE_SIZE,
            offload_tso: true,
            offload_ufo: true,
            offload_csum: true,
            rate_limiter_config: None,
        }
    }

    /// Whether there can be such a card.
    ///
    /// # Errors
    /// The first field that cannot be, what it holds and what may stand there.
    pub fn check(&self) -> Result<(), NetError> {
        let pairs = self.pairs();
        let wrong_fds = match (&self.tap, &self.fds) {
            (Some(_), None) => None,
            (None, Some(fds)) => Some(fds).filter(|fds| fds.len() != pairs),
            _ => return Err(NetError::Tap),
        };
        let wrong =
            if !(QUEUES..=MOST_QUEUES).contains(&self.num_queues) || !self.num_queues.is_multiple_of(2) {
                let count = self.num_queues;
                format!("'num_queues' of a network card is {count}; it must be {MAY_BE_QUEUES}")
            } else if let Some(fds) = wrong_fds {
                format!(
                    "'fds' of a network card are {fds:?}; it must be {pairs}, one for each pair of its queues"
                )
            } else if !self.queue_size.is_power_of_two()
                || !(LEAST_QUEUE_SIZE..=MOST_QUEUE_SIZE).contains(&self.queue_size)
            {
                let size = self.queue_size;
                format!("'queue_size' of a network card is {size}; it must be {MAY_BE_SIZE}")
            } else if let Some(mtu) = self.mtu.filter(|mtu| *mtu < LEAST_MTU) {
                format!("'mtu' of a network card is {mtu}; it must be {LEAST_MTU} to {}", u16::MAX)
            } else {
                return Ok(());
            };
        Err(OptionError::new(wrong).into())
    }

    /// Pairs of queues.
    pub(super) fn pairs(&self) -> usize {
        usize::from(self.num_queues / 2)
    }

    /// Most entries of each of its queues: two for each pair, and the one for commands.
    #[must_use]
    pub fn queue_sizes(&self) -> Vec<u16> {
        let mut sizes = vec![self.queue_size; 2 * self.pairs()];
        sizes.push(CONTROL_SIZE);
        sizes
    }

    /// The features that such a card offers: they follow from this alone, never from the host, so that a guest meets
    /// the same ones where it moves to.
    pub(super) fn features(&self) -> u64 {
        let each = [
            (self.num_queues > QUEUES, features::F_MQ),
            (self.offload_csum, features::CSUM),
            (self.offload_csum && self.offload_tso, features::TSO),
            (self.offload_csum && self.offload_ufo, features::UFO),
        ];
        each.iter().filter(|(on, _)| *on).fold(features::ALWAYS, |all, (_, features)| all | features)
    }
}

impl FromStr for NetConfig {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let mut options = Options::parse("a network card", &NET_KEYS, text)?;
        let mut switch = |key: &str| -> Result<bool, OptionError> {
            let on = |value: &str| match value {
                "on" | "true" => Some(true),
                "off" | "false" => Some(false),
                _ => None,
            };
            Ok(options.read(key, "on or off", on)?.unwrap_or(true))
        };
        let (offload_tso, offload_ufo) = (switch("offload_tso")?, switch("offload_ufo")?);
        let offload_csum = switch("offload_csum")?;
        let tap = options.text("tap").map(str::to_owned);
        let each = |value: &str| {
            let list = value.trim_start_matches('[').trim_end_matches(']');
            list.split(':').map(|fd| fd.parse().ok()).collect()
        };
        let fds = options.read("fd", "the number of an open descriptor, or of several: 7:8", each)?;
        let mac = options.text("mac").map(Mac::from_str).transpose().map_err(OptionError::new)?;
        let mtu = options.read("mtu", "a number of bytes, 68 to 65535", |value| value.parse().ok())?;
        let num_queues = options.read("num_queues", MAY_BE_QUEUES, |value| value.parse().ok())?;
        let size = options.read("queue_size", MAY_BE_SIZE, |value| value.parse().ok())?;
        let config = Self {
            tap,
            fds,
            mac,
            mtu,
            num_queues: num_queues.unwrap_or(QUEUES),
            queue_size: size.unwrap_or(DEFAULT_QUEUE_SIZE),
            offload_tso,
            offload_ufo,
            offload_csum,
            rate_limiter_config: RateLimiterConfig::take(&mut options)?,
        };
        config.check()?;
        Ok(config)
    }
}
