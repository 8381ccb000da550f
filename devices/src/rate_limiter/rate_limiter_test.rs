//! The limiter refuses what a bucket cannot pay, takes nothing then, and says by its timer when to come back.

use super::{RateLimiter, RateLimiterConfig, TokenBucketConfig};

fn limiter(bandwidth: Option<(u64, u64)>, ops: Option<(u64, u64)>) -> RateLimiter {
    let bucket = |(size, refill_time)| TokenBucketConfig { size, one_time_burst: None, refill_time };
    RateLimiter::new(&RateLimiterConfig { bandwidth: bandwidth.map(bucket), ops: ops.map(bucket) }).unwrap()
}

/// Long enough that no test sees a token come.
const DAY: u64 = 86_400_000;

#[test]
fn without_buckets_everything_is_admitted() {
    let mut limiter = limiter(None, None);
    assert!((0..1_000).all(|_| limiter.admit(u64::MAX)));
}

#[test]
fn either_bucket_limits() {
    let mut by_ops = limiter(None, Some((2, DAY)));
    assert_eq!([1, 1, 1].map(|bytes| by_ops.admit(bytes)), [true, true, false]);
    let mut by_bytes = limiter(Some((100, DAY)), Some((1_000, DAY)));
    assert_eq!([99, 50, 1].map(|bytes| by_bytes.admit(bytes)), [true, true, false]);
}

#[test]
fn what_is_refused_takes_nothing() {
    let mut limiter = limiter(Some((10, DAY)), Some((2, DAY)));
    assert!(limiter.admit(10));
    assert!((0..10).all(|_| !limiter.admit(1)));
    assert!(limiter.ops.as_ref().is_some_and(|ops| ops.wait(limiter.begun.elapsed()).is_none()));
}

#[test]
fn the_timer_goes_off_when_there_is_something_again() {
    let mut limiter = limiter(None, Some((1, 20)));
    assert!(limiter.admit(1));
    assert!(!limiter.admit(1));
    // Blocks until the timer has gone off.
    limiter.timer.wait().unwrap();
    assert!(limiter.admit(1));
}
