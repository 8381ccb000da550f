//! The work of one vCPU: fill its pages, then for ever write what is due, check a little, and sleep.
//!
//! A step lasts at most about a millisecond. Whatever is not needed is given back to the host by sleeping, so that
//! a guest with little to do costs little. Neighbours: `ledger` (the pages), `pace` (which, when), `report`.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::clock::Watch;
use crate::ledger::{Ledger, Mismatch};
use crate::pace::{Order, Pace};
use crate::parameters::Damage;
use crate::shared::{GENERATOR, Job, PROGRESS, Progress, START, job, stage};
use crate::sys::{lapic, resident::Slice};

/// Longest time of writing before everything else has its turn.
const SLICE_MICROSECONDS: u64 = 500;
/// Length of the sleeps before the work begins.
const WAIT_MICROSECONDS: u32 = 500;
/// The most sweeping that can be saved up, or be owed.
const MOST_SWEEP_MICROSECONDS: i64 = 200;

/// One vCPU at work.
pub struct Worker {
    job: &'static Job,
    progress: &'static Progress,
    ledger: Ledger<'static, Slice>,
    pace: Pace,
    order: Order,
    watch: Watch,
    start: u64,
    last_step: u64,
    sweep_credit: i64,
    pages: u64,
    checked: u64,
}

impl Worker {
    /// The worker of vCPU `index`, once it has filled its slice.
    pub fn new(slice: Slice, index: usize) -> Self {
        let job = job();
        let parameters = &job.parameters;
        let working_set = slice.working_set();
        let ledger = Ledger::fill(slice, GENERATOR.get());
        let (cpus, number) = (job.cpus as u64, index as u64);
        let hot = parameters.hot_cpus.map_or(cpus, |hot| cpus.min(hot as u64));
        // The boot vCPU, which prints, is the last to be hot. The others' part of the rate is none.
        let up_to = |number: u64| parameters.rate * number.saturating_sub(cpus - hot) / hot;
        let rate = up_to(number + 1) - up_to(number);
        let order = Order::new(parameters.pattern, working_set, parameters.seed ^ number << 32);
        PROGRESS[index].stage.store(stage::FILLED, Release);
        Self {
            job,
            progress: &PROGRESS[index],
            pace: Pace::new(rate, job.clock.hertz, parameters.pattern),
            ledger,
            order,
            watch: Watch::new(),
            start: 0,
            last_step: 0,
            sweep_credit: 0,
            pages: 0,
            checked: 0,
        }
    }

    /// The watch, for whoever else spends this vCPU's time.
    pub fn watch(&mut self) -> &mut Watch {
        &mut self.watch
    }

    /// Does `damage` to its own pages.
    pub fn damage(&mut self, damage: Damage) {
        match damage {
            Damage::Bit => self.ledger.flip_bit(),
            Damage::Stale => {
                let result = self.ledger.lose_write();
                self.account(result);
            }
            Damage::None => {}
        }
    }

    /// Waits until the boot vCPU has said that the work begins.
    pub fn wait_for_start(&mut self) {
        while START.load(Acquire) == 0 {
            lapic::sleep(WAIT_MICROSECONDS);
        }
        self.begin();
    }

    /// Begins at the tick that is in [`START`].
    pub fn begin(&mut self) {
        self.start = START.load(Acquire);
        self.watch = Watch::new();
        self.last_step = self.watch.look();
    }

    /// One step of the work.
    pub fn step(&mut self) {
        let began = self.watch.look();
        let end = began + self.job.clock.ticks(SLICE_MICROSECONDS);
        let mut now = began;
        while now < end && self.pace.due(now.saturating_sub(self.start)) {
            let page = self.order.next_page();
            let result = self.ledger.write(page);
            self.pages += 1;
            self.account(result);
            now = self.watch.look();
        }
        self.sweep(began.saturating_sub(self.last_step));
        self.last_step = began;
        self.publish();
        if now < end {
            lapic::sleep(self.job.parameters.sleep_us);
        }
    }

    /// Sweeps for the agreed part of `elapsed` ticks.
    fn sweep(&mut self, elapsed: u64) {
        let most = self.job.clock.ticks(MOST_SWEEP_MICROSECONDS as u64) as i64;
        let share = elapsed.min(1 << 40) * self.job.parameters.sweep_percent / 100;
        self.sweep_credit = (self.sweep_credit + share as i64).min(most);
        let mut now = self.watch.look();
        while self.sweep_credit > 0 {
            let result = self.ledger.sweep();
            self.account(result);
            let then = self.watch.look();
            self.sweep_credit = (self.sweep_credit - then.saturating_sub(now) as i64).max(-most);
            now = then;
        }
    }

    fn account(&mut self, result: Result<(), Mismatch>) {
        self.checked += 1;
        if let Err(mismatch) = result {
            self.progress.add_mismatch(mismatch);
        }
    }

    fn publish(&mut self) {
        self.progress.pages.store(self.pages, Relaxed);
        self.progress.checked.store(self.checked, Relaxed);
        self.progress.sweeps.store(self.ledger.sweeps(), Relaxed);
        self.progress.longest_gap.fetch_max(self.watch.take_longest(), Relaxed);
    }
}
