//! Slows a vCPU: how long its thread must sleep now so that the vCPU gets no more than its throttle leaves it.
//!
//! The thread is kicked out of the guest every [`SLICE`] while a throttle holds, and never otherwise; then it asks
//! [`Brake::due`]. A share is taken of the time in which the vCPU ran or would have run, had a CPU of the host been free:
//! one that halts loses nothing by it, and a busy host gives nothing back.
//! A dirty limit looks at the vCPU's own dirty ring: each page has to wait until it is due. Neighbours: `thread` sleeps,
//! in a wait for commands, so that no command waits for a sleep; `sys` has the timer and the clock.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use godwit_migration::slow::Throttle;

use super::sys::{self, Ticker};
use crate::kvm::KvmError;

/// How long a vCPU runs at a time while it is slowed: QEMU's slice.
const SLICE: Duration = Duration::from_millis(10);
/// Shorter sleeps are saved up: waking costs as much.
const LEAST_SLEEP: Duration = Duration::from_millis(1);
/// Longest sleep, and the most that is saved up: beside a slice, 99% of the time.
const MOST_SLEEP: Duration = Duration::from_millis(990);
/// Most of its time that a vCPU can lose.
const MOST_SHARE: f64 = 0.99;

/// Time that a vCPU has slept because it was slowed, since it was made.
#[derive(Clone, Default)]
pub(super) struct Slept(Arc<AtomicU64>);

impl Slept {
    /// Adds to it.
    pub(super) fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How much it is.
    pub(super) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

/// What a vCPU did up to a moment.
#[derive(Clone, Copy)]
pub(super) struct Done {
    /// The moment.
    pub at: Instant,
    /// Time in which its thread was running or waiting for a CPU.
    pub ready: Duration,
    /// Pages that it dirtied, since its ring was made.
    pub pages: u64,
}

/// The brake of one vCPU. Its thread owns it.
#[derive(Default)]
pub(super) struct Brake(Option<On>);

struct On {
    throttle: Throttle,
    /// Dropping it ends the kicks.
    _ticker: Ticker,
    debt: Debt,
}

impl Brake {
    /// Slows from here on, or no longer. For the vCPU of the calling thread.
    pub(super) fn set(&mut self, throttle: Throttle, done: impl FnOnce() -> Done) -> Result<(), KvmError> {
        let on = |throttle| {
            let ticker = Ticker::start(SLICE).map_err(KvmError::io("starting the timer of a slowed vCPU"))?;
            Ok(On { throttle, _ticker: ticker, debt: Debt::new(done()) })
        };
        match (&mut self.0, throttle) {
            (_, Throttle::None) => self.0 = None,
            (Some(now), throttle) => now.throttle = throttle,
            (none, throttle) => *none = Some(on(throttle)?),
        }
        Ok(())
    }

    /// How long the thread must sleep, if it must.
    pub(super) fn due(&mut self, done: impl FnOnce() -> Done) -> Option<Duration> {
        let on = self.0.as_mut()?;
        on.debt.due(on.throttle, done())
    }

    /// The thread has slept so long.
    pub(super) fn slept(&mut self, time: Duration) {
        if let Some(on) = &mut self.0 {
            on.debt.paid(time);
        }
    }
}

/// Sleep that a vCPU owes.
struct Debt {
    last: Done,
    owed: Duration,
}

impl Debt {
    fn new(now: Done) -> Self {
        Self { last: now, owed: Duration::ZERO }
    }

    /// What is to be slept at `now`.
    fn due(&mut self, throttle: Throttle, now: Done) -> Option<Duration> {
        let last = std::mem::replace(&mut self.last, now);
        match throttle {
            Throttle::None => return None,
            Throttle::Share(share) => {
                let share = share.clamp(0.0, MOST_SHARE);
                let ran = now.ready.saturating_sub(last.ready).min(MOST_SLEEP);
                self.owed += ran.mul_f64(share / (1.0 - share)).min(MOST_SLEEP);
            }
            Throttle::DirtyLimit(limit) => {
                let pages = now.pages.saturating_sub(last.pages) as f64;
                let time = Duration::try_from_secs_f64(pages / limit).unwrap_or(MOST_SLEEP);
                // Time that has passed pays, asleep or not; it is not saved up for later.
                self.owed = (self.owed + time.min(MOST_SLEEP)).saturating_sub(now.at.duration_since(last.at));
            }
        }
        self.owed = self.owed.min(MOST_SLEEP);
        (self.owed >= LEAST_SLEEP).then_some(self.owed)
    }

    /// So much was slept. A dirty limit counts it as time that passes.
    fn paid(&mut self, time: Duration) {
        self.owed = self.owed.saturating_sub(time);
        self.last.at += time;
    }
}

/// Where the kernel tells how long a thread waited for a CPU (`schedstat`), if it does. Opened before the thread gives
/// up opening files.
pub(super) struct Waits(Option<File>);

impl Waits {
    /// Of the calling thread.
    pub(super) fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// Time in which the thread was running, or waiting for a CPU. For the thread that it was opened by.
    pub(super) fn ready_time(&self) -> Duration {
        sys::thread_cpu_time() + Duration::from_nanos(self.waited_ns().unwrap_or(0))
    }

    /// The second of the file's three numbers, each of at most 20 digits.
    fn waited_ns(&self) -> Option<u64> {
        let mut text = [0; 64];
        let length = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        str::from_utf8(&text[..length]).ok()?.split_whitespace().nth(1)?.parse().ok()
    }
}

#[cfg(test)]
mod brake_test {
    use super::*;

    fn done(origin: Instant, at_ms: u64, ready_ms: u64, pages: u64) -> Done {
        let ms = Duration::from_millis;
        Done { at: origin + ms(at_ms), ready: ms(ready_ms), pages }
    }

    #[test]
    fn a_share_is_taken_of_the_time_that_the_vcpu_ran() {
        let origin = Instant::now();
        let mut debt = Debt::new(done(origin, 0, 0, 0));
        let taken = Throttle::Share(0.75);
        assert_eq!(debt.due(taken, done(origin, 10, 10, 0)), Some(Duration::from_millis(30)));
        debt.paid(Duration::from_millis(28));
        assert_eq!(
            debt.due(taken, done(origin, 48, 20, 0)),
            Some(Duration::from_millis(32)),
            "woken too early"
        );
        debt.paid(Duration::from_millis(32));
        assert_eq!(debt.due(taken, done(origin, 500, 20, 0)), None, "a vCPU that halts is not slowed");
        assert_eq!(debt.due(Throttle::Share(1.0), done(origin, 600, 120, 0)), Some(MOST_SLEEP));
    }

    #[test]
    fn a_page_waits_until_it_is_due() {
        let origin = Instant::now();
        let mut debt = Debt::new(done(origin, 0, 0, 0));
        let limit = Throttle::DirtyLimit(1000.0);
        assert_eq!(debt.due(limit, done(origin, 10, 10, 10)), None, "ten pages in ten milliseconds");
        assert_eq!(debt.due(limit, done(origin, 20, 20, 60)), Some(Duration::from_millis(40)));
        debt.paid(Duration::from_millis(40));
        assert_eq!(debt.due(limit, done(origin, 70, 30, 70)), None);
        assert_eq!(debt.due(limit, done(origin, 1000, 960, 70)), None);
        assert_eq!(
            debt.due(limit, done(origin, 1010, 970, 100)),
            Some(Duration::from_millis(20)),
            "not saved up"
        );
        assert_eq!(debt.due(Throttle::DirtyLimit(1e-9), done(origin, 1020, 980, 101)), Some(MOST_SLEEP));
    }
}
