//! What a limit is configured by: Cloud Hypervisor's `RateLimiterConfig` in JSON, and its keys on the command line.

use serde::{Deserialize, Serialize};

use crate::options::{OptionError, Options};

/// The keys of a limit among a device's options.
pub const RATE_LIMITER_KEYS: [&str; 6] =
    ["bw_size", "bw_one_time_burst", "bw_refill_time", "ops_size", "ops_one_time_burst", "ops_refill_time"];

/// Limits of a device; each may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimiterConfig {
    /// Of bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<TokenBucketConfig>,
    /// Of operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops: Option<TokenBucketConfig>,
}

/// A token bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBucketConfig {
    /// Most tokens that it holds: bytes or operations. None: no limit.
    pub size: u64,
    /// Tokens that are there once, at the beginning, on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time_burst: Option<u64>,
    /// Milliseconds in which an empty bucket fills up, at most a day's.
    pub refill_time: u64,
}

impl RateLimiterConfig {
    /// Takes the [`RATE_LIMITER_KEYS`] out of a device's options; none of them is no limit.
    ///
    /// # Errors
    /// For values that are no numbers, and for a bucket without its size or its time.
    pub fn take(options: &mut Options<'_>) -> Result<Option<Self>, OptionError> {
        let [bw_size, bw_burst, bw_refill, ops_size, ops_burst, ops_refill] = RATE_LIMITER_KEYS;
        let bandwidth = bucket(options, bw_size, bw_burst, bw_refill)?;
        let ops = bucket(options, ops_size, ops_burst, ops_refill)?;
        Ok((bandwidth.is_some() || ops.is_some()).then_some(Self { bandwidth, ops }))
    }
}

fn bucket(
    options: &mut Options<'_>,
    size_key: &str,
    burst_key: &str,
    refill_key: &str,
) -> Result<Option<TokenBucketConfig>, OptionError> {
    let (size, one_time_burst) = (options.size(size_key)?, options.size(burst_key)?);
    match (size, options.size(refill_key)?) {
        (Some(size), Some(refill_time)) => Ok(Some(TokenBucketConfig { size, one_time_burst, refill_time })),
        (None, None) if one_time_burst.is_none() => Ok(None),
        (None, _) => Err(options.missing(size_key, "1M")),
        (_, None) => Err(options.missing(refill_key, "100")),
    }
}
