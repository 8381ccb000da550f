//! One token bucket. Time is what the caller says it is, counted from the bucket's beginning.

use std::time::Duration;

use super::TokenBucketConfig;

/// Longest time to fill a bucket: a day.
const MAX_REFILL: Duration = Duration::from_secs(86_400);

/// A bucket, or a debt. Tokens are kept in parts of which a token has as many as there are nanoseconds to a refill, so
/// that `size` parts come each nanosecond and none is lost to rounding.
#[derive(Debug)]
pub(super) struct Bucket {
    size: i128,
    parts_per_token: i128,
    /// Parts at `at`; negative while a debt is paid.
    level: i128,
    /// Tokens of the burst that have not been taken.
    burst: u64,
    /// Up to when refilling has been counted.
    at: Duration,
}

impl Bucket {
    /// A full bucket; none where there is no limit: a size or a time of zero.
    pub(super) fn new(config: &TokenBucketConfig) -> Option<Self> {
        let refill = Duration::from_millis(config.refill_time).min(MAX_REFILL);
        // Below 2^47.
        let parts_per_token = refill.as_nanos() as i128;
        let size = i128::from(config.size);
        (size > 0 && parts_per_token > 0).then(|| Self {
            size,
            parts_per_token,
            level: size * parts_per_token,
            burst: config.one_time_burst.unwrap_or(0),
            at: Duration::ZERO,
        })
    }

    fn level_at(&self, now: Duration) -> i128 {
        let nanos = i128::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(i128::MAX);
        let full = self.size * self.parts_per_token;
        self.level.saturating_add(nanos.saturating_mul(self.size)).min(full)
    }

    /// How long to wait until a token is there; `None` where one is.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let missing = self.parts_per_token - self.level_at(now);
        if self.burst > 0 || missing <= 0 {
            return None;
        }
        let nanos = missing.unsigned_abs().div_ceil(self.size.unsigned_abs());
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Takes `tokens`, from the burst first.
    pub(super) fn take(&mut self, now: Duration, tokens: u64) {
        self.level = self.level_at(now);
        self.at = now.max(self.at);
        let from_burst = tokens.min(self.burst);
        self.burst -= from_burst;
        let parts = i128::from(tokens - from_burst) * self.parts_per_token;
        self.level = self.level.saturating_sub(parts);
    }
}
