//! The bandwidth cap: one clock of granted bytes, shared by all lanes.
//!
//! Bytes are granted as time passes, at the cap. A lane claims its bytes in turn and waits until the clock has
//! granted them, so that lanes are served in the order in which they came, each about as much as any other, and what
//! has been written is never more than what has been granted. Who wakes late finds its bytes granted already; but of
//! time in which nobody wrote at most [`CREDIT`] is kept, and none of the time between rounds. So a round never goes
//! faster than the cap, and goes slower only by how late a thread wakes, which the credit makes good.
//!
//! Waiting is sleeping on a condition variable: it costs no CPU, and a new cap or the end of the migration is heard
//! at once.

use std::{
    io::{self, Write},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use godwit_migration::wire::Allowance;

/// Lowest cap: below it no guest would arrive in any time.
pub const MIN_BYTES_PER_S: u64 = 100_000;
/// Highest cap.
pub const MAX_BYTES_PER_S: u64 = 1_000_000_000_000;
/// Of how much idle time the bytes may be sent at once. More than a late wake-up takes, less than a switch buffers.
const CREDIT: Duration = Duration::from_millis(10);
/// A write is cut into pieces of about so much time each, so that a slow link gets a stream and not bursts.
const PIECE: Duration = Duration::from_millis(5);
/// Shorter sleeps cost more CPU than they are worth; what is late is made good by the credit.
const SHORTEST_SLEEP: Duration = Duration::from_micros(100);
/// The smallest piece that is worth a system call.
const MIN_PIECE_BYTES: usize = 4 << 10;

/// The cap of one migration.
pub(crate) struct Pace {
    clock: Mutex<Clock>,
    changed: Condvar,
    /// Whether there is a cap, to look at without the lock. The lock has the last word.
    capped: AtomicBool,
    /// Bytes of pages that went by all lanes, before whatever compression.
    pages: AtomicU64,
}

struct Clock {
    /// Bytes per second; `None` for as fast as it goes.
    cap: Option<u64>,
    /// Bytes granted until `at`.
    granted: f64,
    at: Instant,
    /// Bytes asked for.
    claimed: f64,
    /// Bytes of a round that were not granted, because too little was asked for.
    lost: f64,
    stopped: bool,
}

impl Default for Pace {
    fn default() -> Self {
        let clock =
            Clock { cap: None, granted: 0.0, at: Instant::now(), claimed: 0.0, lost: 0.0, stopped: false };
        Self {
            clock: Mutex::new(clock),
            changed: Condvar::new(),
            capped: AtomicBool::new(false),
            pages: AtomicU64::new(0),
        }
    }
}

impl Clock {
    /// Grants what the time since the last look is worth.
    fn advance(&mut self, now: Instant) {
        if let Some(cap) = self.cap {
            let passed = now.saturating_duration_since(self.at).as_secs_f64();
            let most = self.claimed + cap as f64 * CREDIT.as_secs_f64();
            let all = self.granted + cap as f64 * passed;
            self.lost += (all - most).max(0.0);
            self.granted = all.min(most);
        }
        // A lane may have looked at the time before another that came first: no time is granted twice.
        self.at = self.at.max(now);
    }
}

impl Pace {
    /// The cap, in bytes per second.
    pub(crate) fn cap(&self) -> Option<u64> {
        self.clock().cap
    }

    /// Another cap from here on, for those who wait too.
    pub(crate) fn set_cap(&self, cap: Option<u64>) {
        let mut clock = self.clock();
        clock.advance(Instant::now());
        if cap.is_none() || clock.cap.is_none() {
            clock.granted = clock.claimed;
        }
        clock.cap = cap;
        self.capped.store(cap.is_some(), Ordering::Relaxed);
        drop(clock);
        self.changed.notify_all();
    }

    /// A round begins: the time before it was for nobody to write in.
    pub(crate) fn round_begins(&self) {
        let mut clock = self.clock();
        let lost = clock.lost;
        clock.advance(Instant::now());
        clock.lost = lost;
        clock.granted = clock.granted.min(clock.claimed);
    }

    /// The lanes are over: who waits goes, with an error.
    pub(crate) fn stop(&self) {
        self.clock().stopped = true;
        self.changed.notify_all();
    }

    /// Writes `bytes` as fast as the cap allows, and says how much of the time it was the cap that was waited for.
    ///
    /// # Errors
    /// The writer's; [`io::ErrorKind::Interrupted`] when the lanes are over.
    pub(crate) fn write_all(&self, to: &mut impl Write, mut bytes: &[u8]) -> io::Result<Duration> {
        let mut waited = Duration::ZERO;
        while self.capped.load(Ordering::Relaxed) && !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.piece().min(bytes.len()));
            waited += self.wait(piece.len())?;
            to.write_all(piece)?;
            bytes = rest;
        }
        to.write_all(bytes)?;
        Ok(waited)
    }

    /// So many bytes more of pages have gone, before whatever compression.
    pub(crate) fn add_pages(&self, bytes: u64) {
        self.pages.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What one of `lanes` lanes may do without waiting; `None` without a cap.
    pub(crate) fn allowance(&self, lanes: u8) -> Option<Allowance> {
        if !self.capped.load(Ordering::Relaxed) {
            return None;
        }
        let mut clock = self.clock();
        clock.advance(Instant::now());
        let cap = clock.cap? as f64;
        Some(Allowance {
            share: cap / f64::from(lanes.max(1)),
            unused: (clock.granted - clock.claimed).max(0.0) as u64,
            kept: (cap * CREDIT.as_secs_f64()) as u64,
            lost: (clock.lost / f64::from(lanes.max(1))) as u64,
            pages: self.pages.load(Ordering::Relaxed) / u64::from(lanes.max(1)),
        })
    }

    /// Bytes that go in one write.
    fn piece(&self) -> usize {
        self.cap()
            .map_or(usize::MAX, |cap| ((cap as f64 * PIECE.as_secs_f64()) as usize).max(MIN_PIECE_BYTES))
    }

    /// Waits until `bytes` may be written, and says how long it was.
    fn wait(&self, bytes: usize) -> io::Result<Duration> {
        let began = Instant::now();
        let mut clock = self.clock();
        clock.advance(began);
        clock.claimed += bytes as f64;
        let turn = clock.claimed;
        loop {
            if clock.stopped {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some(cap) = clock.cap else { break };
            let missing = turn - clock.granted;
            if missing <= 0.0 {
                break;
            }
            let delay = Duration::from_secs_f64(missing / cap as f64);
            let delay = delay.max(SHORTEST_SLEEP);
            clock = self.changed.wait_timeout(clock, delay).unwrap_or_else(PoisonError::into_inner).0;
            clock.advance(Instant::now());
        }
        Ok(began.elapsed())
    }

    /// Every step leaves the clock whole, so a thread that died holding it did no harm.
    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod clock_test {
    use super::*;

    #[test]
    fn no_time_is_granted_twice_to_lanes_that_looked_at_it_out_of_turn() {
        let pace = Pace::default();
        pace.set_cap(Some(1_000_000));
        let mut clock = pace.clock();
        let (early, late) = (clock.at, clock.at + Duration::from_millis(4));
        clock.advance(late);
        clock.advance(early);
        clock.advance(late);
        assert!((clock.granted - 4000.0).abs() < 1.0, "{}", clock.granted);
    }
}
