//! The line that says how the machine is, made for people and for programs: `key=value` words, numbers with their
//! units in the name.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use crate::{clock::now_ns, stats::Stats};

/// Sums up the workers.
pub struct Heartbeat {
    workers: Vec<Arc<Stats>>,
    ticks: Vec<u64>,
    rng_bytes: Arc<AtomicU64>,
    start: Instant,
    beat: u64,
}

impl Heartbeat {
    /// Before the first beat.
    pub fn new(workers: Vec<Arc<Stats>>, rng_bytes: Arc<AtomicU64>) -> Self {
        Self { ticks: vec![0; workers.len()], workers, rng_bytes, start: Instant::now(), beat: 0 }
    }

    /// The next heartbeat. `cpus` counts those whose worker has gone on since the last one.
    pub fn line(&mut self) -> String {
        self.beat += 1;
        let cpus = self.alive();
        let now_ns = now_ns();
        let gap_us = self.workers.iter().map(|stats| stats.take_gap_us(now_ns)).max().unwrap_or(0);
        let date = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        format!(
            "linux: beat={} t={:.3}s uptime={}s date={date:.3} cpus={cpus} {} gap_us={gap_us} rng_bytes={}",
            self.beat,
            self.start.elapsed().as_secs_f64(),
            uptime(),
            self.counters(),
            self.rng_bytes.load(Ordering::Relaxed),
        )
    }

    /// The last line, and the number of things that were wrong.
    pub fn summary(&self) -> (String, u64) {
        (format!("linux: DONE beats={} {}", self.beat, self.counters()), self.sum(|stats| &stats.bad))
    }

    fn counters(&self) -> String {
        format!(
            "pages={} checked={} sums={} bad={}",
            self.sum(|stats| &stats.pages),
            self.sum(|stats| &stats.checked),
            self.sum(|stats| &stats.sums),
            self.sum(|stats| &stats.bad),
        )
    }

    fn alive(&mut self) -> usize {
        let now: Vec<u64> = self.workers.iter().map(|stats| stats.ticks.load(Ordering::Relaxed)).collect();
        let alive = now.iter().zip(&self.ticks).filter(|(now, before)| now > before).count();
        self.ticks = now;
        alive
    }

    fn sum(&self, field: impl Fn(&Stats) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|stats| field(stats).load(Ordering::Relaxed)).sum()
    }
}

/// Seconds since the kernel started, as it says itself.
fn uptime() -> String {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("0").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_sums_the_workers_up() {
        let workers: Vec<Arc<Stats>> = (0..2).map(|_| Arc::default()).collect();
        workers[0].pages.store(3, Ordering::Relaxed);
        workers[1].pages.store(4, Ordering::Relaxed);
        workers[1].gap_us.store(90, Ordering::Relaxed);
        workers[1].ticks.store(1, Ordering::Relaxed);
        let mut heartbeat = Heartbeat::new(workers.clone(), Arc::default());

        let line = heartbeat.line();
        assert!(
            line.starts_with("linux: beat=1 t=0.")
                && line.contains(" cpus=1 pages=7 checked=0 sums=0 bad=0 ")
        );
        assert!(line.contains(" gap_us=90 "), "{line}");

        let line = heartbeat.line();
        assert!(
            line.contains("beat=2 ") && line.contains(" cpus=0 ") && line.contains(" gap_us=0 "),
            "{line}"
        );

        workers[0].bad.store(2, Ordering::Relaxed);
        assert_eq!(heartbeat.summary().1, 2);
        assert_eq!(heartbeat.summary().0, "linux: DONE beats=2 pages=7 checked=0 sums=0 bad=2");
    }
}
