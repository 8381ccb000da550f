//! What the user says of the source of entropy: Cloud Hypervisor's `RngConfig` in JSON, with a limit that is godwit's own.

use std::{path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    options::{OptionError, Options},
    rate_limiter::{RATE_LIMITER_KEYS, RateLimiterConfig},
};

/// Most entries of its queue.
pub const QUEUE_SIZES: &[u16] = &[256];
/// Names of the host's generator, which is what a guest gets; both are the same one.
const SOURCES: [&str; 2] = ["/dev/urandom", "/dev/random"];

/// The source of entropy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RngConfig {
    /// Where the bytes come from: the host's generator, by one of its two names.
    pub src: PathBuf,
    /// What the guest may draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter_config: Option<RateLimiterConfig>,
}

impl Default for RngConfig {
    fn default() -> Self {
        Self { src: SOURCES[0].into(), rate_limiter_config: None }
    }
}

impl RngConfig {
    /// Most entries of its queue.
    #[must_use]
    pub fn queue_sizes(&self) -> Vec<u16> {
        QUEUE_SIZES.to_vec()
    }

    /// Whether the values can be: those from JSON have not been looked at.
    ///
    /// # Errors
    /// For another source.
    pub fn check(&self) -> Result<(), OptionError> {
        if SOURCES.iter().any(|source| self.src.as_os_str() == *source) {
            return Ok(());
        }
        let (wrong, may_be) = (self.src.display(), SOURCES.join(" or "));
        Err(OptionError::new(format!("'src' of a source of entropy is '{wrong}'; it must be {may_be}")))
    }
}

impl FromStr for RngConfig {
    type Err = OptionError;

    /// `bw_size=1K,bw_refill_time=1000`
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let known: Vec<_> = ["src"].into_iter().chain(RATE_LIMITER_KEYS).collect();
        let mut options = Options::parse("a source of entropy", &known, text)?;
        let config = Self {
            src: options.path("src")?.unwrap_or_else(|| Self::default().src),
            rate_limiter_config: RateLimiterConfig::take(&mut options)?,
        };
        config.check()?;
        Ok(config)
    }
}
