//! A bucket gives what it holds, then what comes, and lets a large request through on debt.

use std::time::Duration;

use super::{TokenBucketConfig, bucket::Bucket};

fn bucket(size: u64, one_time_burst: u64, refill_time: u64) -> Bucket {
    Bucket::new(&TokenBucketConfig { size, one_time_burst: Some(one_time_burst), refill_time }).unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn what_it_holds_is_given_at_once_and_the_rest_as_it_comes() {
    let mut bucket = bucket(10, 0, 1_000);
    for _ in 0..10 {
        assert_eq!(bucket.wait(ms(0)), None);
        bucket.take(ms(0), 1);
    }
    assert_eq!(bucket.wait(ms(0)), Some(ms(100)));
    assert_eq!(bucket.wait(ms(60)), Some(ms(40)));
    assert_eq!(bucket.wait(ms(100)), None);
}

#[test]
fn a_request_larger_than_the_bucket_passes_and_is_paid_for_before_the_next() {
    let mut bucket = bucket(10, 0, 1_000);
    assert_eq!(bucket.wait(ms(0)), None);
    bucket.take(ms(0), 40);
    assert_eq!(bucket.wait(ms(0)), Some(ms(3_100)));
}

#[test]
fn no_part_of_a_token_is_lost_over_many_looks() {
    let mut bucket = bucket(3, 0, 1_000);
    let (mut now, mut taken) = (Duration::ZERO, 0);
    while now <= ms(100_000) {
        match bucket.wait(now) {
            Some(wait) => now += wait,
            None => {
                bucket.take(now, 1);
                taken += 1;
            }
        }
    }
    assert_eq!(taken, 3 + 300);
}

#[test]
fn a_burst_comes_once() {
    let mut bucket = bucket(2, 5, 1_000);
    for _ in 0..7 {
        assert_eq!(bucket.wait(ms(0)), None);
        bucket.take(ms(0), 1);
    }
    assert!(bucket.wait(ms(0)).is_some());
    // Filled up again, without the burst.
    bucket.take(ms(100_000), 2);
    assert!(bucket.wait(ms(100_000)).is_some());
}

#[test]
fn a_clock_that_goes_back_gives_nothing() {
    let mut bucket = bucket(1, 0, 1_000);
    bucket.take(ms(5_000), 1);
    assert_eq!(bucket.wait(ms(4_000)), Some(ms(1_000)));
    bucket.take(ms(4_000), 1);
    assert_eq!(bucket.wait(ms(5_000)), Some(ms(2_000)));
}

#[test]
fn no_numbers_overflow() {
    let mut bucket = bucket(u64::MAX, u64::MAX, u64::MAX);
    for now in [0, 1, u64::MAX] {
        bucket.take(ms(now), u64::MAX);
        let _ = bucket.wait(ms(now));
    }
    assert!(Bucket::new(&TokenBucketConfig { size: 0, one_time_burst: None, refill_time: 1 }).is_none());
    assert!(Bucket::new(&TokenBucketConfig { size: 1, one_time_burst: None, refill_time: 0 }).is_none());
}
