//! Watches the clocks: monotonic time must never go backwards, also not as seen from another CPU; wall-clock time must
//! not either; and the longest time in which a thread could not look is the pause that its user would have felt.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// The latest monotonic time that any thread has seen, in nanoseconds since the first look.
static LATEST: AtomicU64 = AtomicU64::new(0);
static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// One thread's view of the clocks.
#[derive(Debug)]
pub struct Watch {
    monotonic: Instant,
    realtime: SystemTime,
}

impl Watch {
    /// Starts watching.
    pub fn new() -> Self {
        Self { monotonic: Instant::now(), realtime: SystemTime::now() }
    }

    /// Looks at both clocks: how long since the last look, or what went backwards.
    ///
    /// # Errors
    /// A sentence naming the clock.
    pub fn look(&mut self) -> Result<Duration, String> {
        // Seen before this thread reads its own clock, so no later reading may be below it.
        let seen = LATEST.load(Ordering::Acquire);
        let monotonic = Instant::now();
        let realtime = SystemTime::now();
        let now = nanoseconds(monotonic);
        LATEST.fetch_max(now, Ordering::AcqRel);
        let (last, last_realtime) = (self.monotonic, self.realtime);
        (self.monotonic, self.realtime) = (monotonic, realtime);
        check(last, monotonic, seen, now)?;
        if let Err(back) = realtime.duration_since(last_realtime) {
            return Err(format!("CLOCK_REALTIME went back by {:?}", back.duration()));
        }
        Ok(monotonic - last)
    }
}

fn check(last: Instant, monotonic: Instant, seen: u64, now: u64) -> Result<(), String> {
    if monotonic < last {
        return Err(format!("CLOCK_MONOTONIC went back by {:?}", last - monotonic));
    }
    if now < seen {
        return Err(format!("CLOCK_MONOTONIC is {} ns behind what another CPU has seen", seen - now));
    }
    Ok(())
}

/// Monotonic time in nanoseconds since the first look of any thread, never 0.
pub fn now_ns() -> u64 {
    nanoseconds(Instant::now()).max(1)
}

fn nanoseconds(time: Instant) -> u64 {
    let origin = *ORIGIN.get_or_init(|| time);
    time.saturating_duration_since(origin).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_measures_the_time_since_the_last_one() {
        let mut watch = Watch::new();
        std::thread::sleep(Duration::from_millis(5));
        assert!(watch.look().unwrap() >= Duration::from_millis(5));
    }

    #[test]
    fn a_clock_that_goes_back_is_named() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert!(check(later, now, 0, 0).unwrap_err().contains("CLOCK_MONOTONIC went back by 1s"));
        assert!(check(now, later, 7, 5).unwrap_err().contains("2 ns behind"));
        check(now, later, 5, 5).unwrap();

        let mut watch = Watch { monotonic: now, realtime: SystemTime::now() + Duration::from_secs(60) };
        assert!(watch.look().unwrap_err().contains("CLOCK_REALTIME went back"));
        watch.look().unwrap();
    }
}
