//! A limit on what a device may move: token buckets for bytes and for operations, and a timer that says when to try
//! again.
//!
//! A bucket holds at most `size` tokens, fills up within `refill_time` milliseconds, and may begin with a burst on top
//! that comes once. A request is admitted while tokens are left and may take more than there are: the debt is paid
//! before the next one. So a request of any size passes, and the rate over time is `size / refill_time` exactly.
//! The limit belongs to the host: it is not saved, and a guest meets another one where it moves to. The names are
//! Cloud Hypervisor's; `bucket` is the arithmetic, without a clock.

mod bucket;
#[cfg(test)]
mod bucket_test;
mod config;
#[cfg(test)]
mod config_test;
#[cfg(test)]
mod rate_limiter_test;

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use vmm_sys_util::timerfd::TimerFd;

use self::bucket::Bucket;
pub use self::config::{RATE_LIMITER_KEYS, RateLimiterConfig, TokenBucketConfig};

/// The least time to wait, so that a device in debt does not wake up for every token.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// Admits requests at a limited rate.
#[derive(Debug)]
pub struct RateLimiter {
    bandwidth: Option<Bucket>,
    ops: Option<Bucket>,
    begun: Instant,
    timer: TimerFd,
}

impl RateLimiter {
    /// A limiter as configured, its buckets full.
    ///
    /// # Errors
    /// Those of timerfd_create(2): out of descriptors or memory.
    pub fn new(config: &RateLimiterConfig) -> io::Result<Self> {
        let bucket = |config: &Option<TokenBucketConfig>| config.as_ref().and_then(Bucket::new);
        Ok(Self {
            bandwidth: bucket(&config.bandwidth),
            ops: bucket(&config.ops),
            begun: Instant::now(),
            timer: TimerFd::new().map_err(|error| io::Error::from_raw_os_error(error.errno()))?,
        })
    }

    /// Whether one operation of `bytes` may be done now. Where not, nothing is taken, and [`fd`](Self::fd) becomes
    /// readable when it is worth asking again.
    pub fn admit(&mut self, bytes: u64) -> bool {
        let now = self.begun.elapsed();
        let buckets = || [&self.bandwidth, &self.ops].into_iter().flatten();
        if let Some(wait) = buckets().filter_map(|bucket| bucket.wait(now)).max() {
            // An error leaves the timer as it was: the device then comes back at the next notification.
            if let Err(error) = self.timer.reset(wait.max(LEAST_WAIT), None) {
                tracing::warn!("a rate limit's timer cannot be set: {error}");
            }
            return false;
        }
        for (bucket, tokens) in [(&mut self.bandwidth, bytes), (&mut self.ops, 1)] {
            if let Some(bucket) = bucket {
                bucket.take(now, tokens);
            }
        }
        true
    }

    /// The timer's descriptor, readable from the moment on that a refused request should be tried again; an
    /// edge-triggered watch needs no reading. It lives as long as the limiter.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.timer.as_raw_fd()
    }
}
