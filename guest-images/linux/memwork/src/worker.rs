//! One CPU's share of the work, on a thread that is pinned to it.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    clock::{Watch, now_ns},
    complain,
    compute::Chain,
    memory::{PAGE_BYTES, Region},
    params::Params,
    stats::Stats,
    sys,
};

/// Time between two rounds of the loop.
const TICK: Duration = Duration::from_millis(4);
/// Pages written in one round at most: after a long pause the work that was missed is not made up at once.
const PAGES_PER_TICK: u64 = 4096;
/// Pages checked in a round where none is written.
const IDLE_CHECKS: u64 = 4;
/// Steps of the computation in one round.
const STEPS_PER_TICK: u32 = 1000;

/// A region, a computation, and a watch on the clocks.
pub struct Worker {
    cpu: usize,
    rate_pages: u64,
    region: Region,
    next_page: usize,
    chain: Chain,
    watch: Watch,
    stats: Arc<Stats>,
}

impl Worker {
    /// The share of CPU `cpu` of `cpus`, its memory written once.
    pub fn new(cpu: usize, cpus: usize, params: &Params, stats: Arc<Stats>) -> Self {
        let pages = (params.memory_bytes as usize / PAGE_BYTES / cpus).max(1);
        let share = |whole: u64| whole / cpus as u64 + u64::from((cpu as u64) < whole % cpus as u64);
        Self {
            cpu,
            rate_pages: share(params.rate_pages),
            region: Region::new(cpu as u64 + 1, pages),
            next_page: 0,
            chain: Chain::new(),
            watch: Watch::new(),
            stats,
        }
    }

    /// Works for ever.
    pub fn run(mut self) {
        if let Err(error) = sys::pin_to(self.cpu) {
            complain(&self.stats, &format!("cpu={} takes no thread: {error}", self.cpu));
        }
        let mut since = Instant::now();
        let mut owed_seconds = 0.0;
        self.look(Duration::ZERO);
        loop {
            self.stats.due_ns.store(now_ns() + TICK.as_nanos() as u64, Ordering::Relaxed);
            thread::sleep(TICK);
            self.look(TICK);
            owed_seconds += since.elapsed().as_secs_f64();
            since = Instant::now();
            let due = (owed_seconds * self.rate_pages as f64) as u64;
            self.round(due.min(PAGES_PER_TICK));
            if due > 0 {
                owed_seconds -= due as f64 / self.rate_pages as f64;
            }
            self.stats.ticks.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Checks the next pages, and writes `due` of them anew.
    fn round(&mut self, due: u64) {
        let idle = self.rate_pages == 0;
        for _ in 0..if idle { IDLE_CHECKS } else { due } {
            let page = self.next_page;
            self.next_page = (page + 1) % self.region.len();
            if let Err(what) = self.region.check(page) {
                complain(&self.stats, &what);
                // Written anew below or here, so that one wrong page counts once.
                self.region.rewrite(page);
            }
            self.stats.checked.fetch_add(1, Ordering::Relaxed);
            if !idle {
                self.region.rewrite(page);
                self.stats.pages.fetch_add(1, Ordering::Relaxed);
            }
            self.look(Duration::ZERO);
        }
        match self.chain.advance(STEPS_PER_TICK) {
            Some(true) => drop(self.stats.sums.fetch_add(1, Ordering::Relaxed)),
            Some(false) => complain(&self.stats, &format!("cpu={} computed a wrong answer", self.cpu)),
            None => {}
        }
        self.look(Duration::ZERO);
    }

    /// Looks at the clocks; what goes beyond the time that was `slept` on purpose is a gap.
    fn look(&mut self, slept: Duration) {
        self.stats.due_ns.store(now_ns(), Ordering::Relaxed);
        match self.watch.look() {
            Ok(time) => {
                let gap = time.saturating_sub(slept).as_micros() as u64;
                self.stats.gap_us.fetch_max(gap, Ordering::Relaxed);
            }
            Err(what) => complain(&self.stats, &what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(rate_pages: u64) -> Worker {
        let params = Params { rate_pages, memory_bytes: 64 << 10, ..Params::default() };
        Worker::new(1, 2, &params, Arc::default())
    }

    #[test]
    fn the_work_is_shared_out_to_the_last_page() {
        assert_eq!(worker(7).rate_pages, 3);
        assert_eq!(worker(7).region.len(), 8);
    }

    #[test]
    fn a_round_writes_what_is_due_and_checks_it_the_next_time() {
        let mut worker = worker(1000);
        worker.round(20);
        assert_eq!(worker.stats.pages.load(Ordering::Relaxed), 20);
        assert_eq!(worker.stats.checked.load(Ordering::Relaxed), 20);
        assert_eq!(worker.next_page, 4);
        assert_eq!(worker.stats.bad.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_idle_round_only_checks() {
        let mut worker = worker(0);
        worker.round(0);
        assert_eq!(worker.stats.pages.load(Ordering::Relaxed), 0);
        assert_eq!(worker.stats.checked.load(Ordering::Relaxed), IDLE_CHECKS);
    }

    #[test]
    fn a_wrong_page_counts_once() {
        let mut worker = worker(0);
        worker.region = Region::new(9, 8);
        let other = Region::new(3, 8);
        worker.region.swap_page(&other, 1);
        for _ in 0..4 {
            worker.round(0);
        }
        assert_eq!(worker.stats.bad.load(Ordering::Relaxed), 1);
    }
}
