//! What the boot vCPU says about all: heartbeats, mismatches, the end; and what it does between its own steps.
//!
//! The lines are read by people and by `guest_images::Heartbeat`; they change together.
//! Neighbours: `shared` (the numbers), `serial` (the port).

use core::fmt;
use core::sync::atomic::Ordering::Relaxed;

use crate::exit::exit;
use crate::ledger::VERSION_TABLE;
use crate::parameters::Damage;
use crate::serial::Console;
use crate::shared::{Job, PROGRESS, Progress, REPORTED_MISMATCHES, job};
use crate::sys::boot::MAX_CPUS;
use crate::worker::Worker;

const INPUT_MICROSECONDS: u64 = 10_000;
const DAMAGE_MICROSECONDS: u64 = 1_000_000;
/// Status of a run that found a mismatch.
const BAD: u8 = 2;

/// The boot vCPU's tasks beside its work.
pub struct Reporter {
    job: &'static Job,
    console: Console,
    start: u64,
    beats: u64,
    next_beat: u64,
    next_input: u64,
    damage: Damage,
    reported: [usize; MAX_CPUS],
}

impl Reporter {
    /// A reporter of the work that began at tick `start`.
    pub fn new(console: Console, start: u64) -> Self {
        let job = job();
        let mut reporter = Self {
            job,
            console,
            start,
            beats: 0,
            next_beat: 0,
            next_input: 0,
            damage: job.parameters.damage,
            reported: [0; MAX_CPUS],
        };
        reporter.next_beat = reporter.heartbeat_ticks();
        reporter
    }

    /// Does what is due by now.
    pub fn step(&mut self, worker: &mut Worker) {
        let tick = worker.watch().look().saturating_sub(self.start);
        self.damage(worker, tick);
        if tick >= self.next_input {
            self.next_input = tick + self.job.clock.ticks(INPUT_MICROSECONDS);
            self.console.echo(worker.watch());
        }
        if tick >= self.next_beat {
            self.next_beat = (tick / self.heartbeat_ticks() + 1) * self.heartbeat_ticks();
            self.beats += 1;
            self.mismatches(worker);
            self.heartbeat(worker, tick);
            self.end(worker, tick);
        }
    }

    fn heartbeat_ticks(&self) -> u64 {
        self.job.clock.ticks(self.job.parameters.heartbeat_ms * 1000)
    }

    fn heartbeat(&mut self, worker: &mut Worker, tick: u64) {
        let milliseconds = self.job.clock.microseconds(tick) / 1000;
        let gap = self.all().iter().map(|cpu| cpu.longest_gap.swap(0, Relaxed)).max().unwrap_or(0);
        let sweeps = self.all().iter().map(|cpu| cpu.sweeps.load(Relaxed)).min().unwrap_or(0);
        let text = format_args!(
            "beat={} t={}.{:03}s pages={} gap_us={} checked={} bad={} sweep={sweeps}",
            self.beats,
            milliseconds / 1000,
            milliseconds % 1000,
            self.sum(|cpu| cpu.pages.load(Relaxed)),
            self.job.clock.microseconds(gap),
            self.sum(|cpu| cpu.checked.load(Relaxed)),
            self.sum(Progress::bad),
        );
        self.console.line(worker.watch(), text);
    }

    fn mismatches(&mut self, worker: &mut Worker) {
        for (cpu, reported) in PROGRESS.iter().zip(&mut self.reported) {
            while *reported < REPORTED_MISMATCHES
                && let Some(bad) = cpu.mismatch(*reported)
            {
                *reported += 1;
                let (expected, found) = (bad.expected, bad.found);
                if bad.page == VERSION_TABLE {
                    let text = format_args!("BAD versions expected={expected} found={found}");
                    self.console.line(worker.watch(), text);
                } else {
                    let (page, at) = (bad.page, bad.address);
                    let text =
                        format_args!("BAD page={page} gpa={at:#x} expected={expected:#x} found={found:#x}");
                    self.console.line(worker.watch(), text);
                }
            }
        }
    }

    fn end(&mut self, worker: &mut Worker, tick: u64) {
        let duration = self.job.parameters.duration_s;
        if duration == 0 || tick < self.job.clock.hertz.saturating_mul(duration) {
            return;
        }
        let bad = self.sum(Progress::bad);
        let pages = self.sum(|cpu| cpu.pages.load(Relaxed));
        self.console.line(worker.watch(), format_args!("DONE pages={pages} bad={bad}"));
        exit(self.job.parameters.exit, if bad == 0 { 0 } else { BAD })
    }

    fn damage(&mut self, worker: &mut Worker, tick: u64) {
        if self.damage == Damage::None || tick < self.job.clock.ticks(DAMAGE_MICROSECONDS) {
            return;
        }
        worker.damage(core::mem::replace(&mut self.damage, Damage::None));
    }

    fn all(&self) -> &'static [Progress] {
        &PROGRESS[..self.job.cpus]
    }

    fn sum(&self, of: impl Fn(&Progress) -> u64) -> u64 {
        self.all().iter().map(of).sum()
    }
}

/// A number of bytes in the largest unit that divides it.
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
            if self.0.is_multiple_of(1 << shift) {
                return write!(formatter, "{}{unit}", self.0 >> shift);
            }
        }
        write!(formatter, "{}", self.0)
    }
}
