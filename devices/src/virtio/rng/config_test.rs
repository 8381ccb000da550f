//! A source of entropy is the host's generator, with a limit or without.

use super::RngConfig;
use crate::rate_limiter::TokenBucketConfig;

#[test]
fn a_limit_is_read() {
    let config: RngConfig = "bw_size=1K,bw_refill_time=500,src=/dev/random".parse().unwrap();
    let bandwidth = TokenBucketConfig { size: 1024, one_time_burst: None, refill_time: 500 };
    assert_eq!(config.rate_limiter_config.unwrap().bandwidth, Some(bandwidth));
    assert_eq!(RngConfig::default().rate_limiter_config, None);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, words) in [
        (
            "src=/dev/zero",
            "'src' of a source of entropy is '/dev/zero'; it must be /dev/urandom or /dev/random",
        ),
        ("rate=1", "a source of entropy has no 'rate'; its keys are src, bw_size"),
        ("bw_size=1K", "a source of entropy needs 'bw_refill_time'"),
    ] {
        let error = text.parse::<RngConfig>().unwrap_err().to_string();
        assert!(error.starts_with(words), "{text}: {error}");
    }
}
