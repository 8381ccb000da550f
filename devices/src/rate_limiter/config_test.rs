//! Limits read from a device's options.

use super::{RATE_LIMITER_KEYS, RateLimiterConfig, TokenBucketConfig};
use crate::options::{OptionError, Options};

fn taken(text: &str) -> Result<Option<RateLimiterConfig>, OptionError> {
    RateLimiterConfig::take(&mut Options::parse("a device", &RATE_LIMITER_KEYS, text).unwrap())
}

#[test]
fn buckets_are_read_each_for_itself() {
    assert_eq!(taken("").unwrap(), None);
    let bandwidth = TokenBucketConfig { size: 1 << 20, one_time_burst: Some(4096), refill_time: 100 };
    let ops = TokenBucketConfig { size: 500, one_time_burst: None, refill_time: 1_000 };
    assert_eq!(
        taken("bw_size=1M,bw_one_time_burst=4K,bw_refill_time=100").unwrap().unwrap(),
        RateLimiterConfig { bandwidth: Some(bandwidth), ops: None }
    );
    assert_eq!(
        taken("ops_size=500,ops_refill_time=1000").unwrap().unwrap(),
        RateLimiterConfig { bandwidth: None, ops: Some(ops) }
    );
}

#[test]
fn half_a_bucket_is_refused() {
    for (text, missing) in [
        ("bw_size=1M", "a device needs 'bw_refill_time', such as bw_refill_time=100"),
        ("ops_refill_time=5", "a device needs 'ops_size', such as ops_size=1M"),
        ("bw_one_time_burst=5", "a device needs 'bw_size', such as bw_size=1M"),
    ] {
        assert_eq!(taken(text).unwrap_err().to_string(), missing);
    }
    assert!(taken("bw_size=x,bw_refill_time=1").is_err());
}
