//! The cap holds whatever the lanes do, they share it, and nothing waits longer than it must.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::Pace;

/// Writes `bytes` in writes as large as a lane's, and returns when they may all have gone.
fn write(pace: &Pace, mut bytes: usize) -> io::Result<Duration> {
    let mut waited = Duration::ZERO;
    while bytes > 0 {
        let now = bytes.min(128 << 10);
        waited += pace.write_all(&mut io::sink(), &vec![0; now])?;
        bytes -= now;
    }
    Ok(waited)
}

fn capped(cap: u64) -> Arc<Pace> {
    let pace = Arc::new(Pace::default());
    pace.set_cap(Some(cap));
    pace
}

#[test]
fn without_a_cap_nothing_waits() {
    assert_eq!(write(&Pace::default(), 64 << 20).unwrap(), Duration::ZERO);
}

#[test]
fn no_rate_from_1_mb_to_10_gb_a_second_is_exceeded_by_any_number_of_lanes() {
    for (cap, bytes) in [(1_000_000, 100_000), (125_000_000, 25_000_000), (10_000_000_000, 1_000_000_000)] {
        for lanes in [1, 3] {
            let pace = capped(cap);
            let began = Instant::now();
            pace.round_begins();
            std::thread::scope(|scope| {
                for _ in 0..lanes {
                    scope.spawn(|| write(&pace, bytes / lanes).unwrap());
                }
            });
            let rate = (bytes / lanes * lanes) as f64 / began.elapsed().as_secs_f64();
            assert!(rate <= cap as f64, "{lanes} lanes: {rate:.0} of {cap} bytes/s");
        }
    }
}

#[test]
fn the_time_between_rounds_earns_nothing() {
    let pace = capped(10_000_000);
    write(&pace, 100_000).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let began = Instant::now();
    pace.round_begins();
    write(&pace, 100_000).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(10));
}

#[test]
fn idle_time_within_a_round_earns_little() {
    let pace = capped(10_000_000);
    pace.round_begins();
    write(&pace, 100).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    write(&pace, 300_000).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(20), "30 ms, less 10 of credit");
}

#[test]
fn what_nobody_asked_for_in_a_round_is_lost_and_told() {
    let pace = capped(10_000_000);
    let lost = || pace.allowance(2).unwrap().lost;
    pace.round_begins();
    write(&pace, 100_000).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    assert!(lost() >= 99_000, "half of 20 ms: {}", lost());
    let (before, began) = (lost(), Instant::now());
    write(&pace, 300_000).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    pace.round_begins();
    let most = began.elapsed().saturating_sub(Duration::from_millis(50)).as_secs_f64() * 5e6;
    assert!(
        (lost() - before) as f64 <= most,
        "between rounds nothing is lost: {} of {most}",
        lost() - before
    );
}

#[test]
fn lanes_get_equal_shares() {
    let pace = capped(20_000_000);
    let written: [AtomicU64; 3] = Default::default();
    std::thread::scope(|scope| {
        for lane in &written {
            let pace = &pace;
            scope.spawn(move || {
                while write(pace, 50_000).is_ok() {
                    lane.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while written[0].load(Ordering::Relaxed) < 40 {
            std::thread::sleep(Duration::from_millis(1));
        }
        pace.stop();
    });
    for lane in &written {
        let writes = lane.load(Ordering::Relaxed);
        assert!((20..=80).contains(&writes), "{written:?}");
    }
}

#[test]
fn who_waits_hears_a_new_cap_and_the_end() {
    let pace = capped(100_000);
    let waiter = |pace: &Arc<Pace>| {
        let pace = pace.clone();
        std::thread::spawn(move || write(&pace, 100 << 20))
    };
    let released = waiter(&pace);
    std::thread::sleep(Duration::from_millis(20));
    pace.set_cap(Some(50_000_000_000));
    released.join().unwrap().unwrap();

    pace.set_cap(Some(100_000));
    let released = waiter(&pace);
    std::thread::sleep(Duration::from_millis(20));
    pace.set_cap(None);
    released.join().unwrap().unwrap();

    pace.set_cap(Some(100_000));
    let ended = waiter(&pace);
    std::thread::sleep(Duration::from_millis(20));
    pace.stop();
    assert_eq!(ended.join().unwrap().unwrap_err().kind(), io::ErrorKind::Interrupted);
}
