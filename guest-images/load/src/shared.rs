//! What vCPUs know of each other: the job, settled before the work; and each one's progress, which it publishes.
//!
//! Neighbours: `worker` (publishes), `report` (reads).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::clock::Clock;
use crate::content::Generator;
use crate::layout::Layout;
use crate::ledger::Mismatch;
use crate::parameters::Parameters;
use crate::sys::boot::MAX_CPUS;
use crate::sys::settled::Settled;

/// Mismatches per vCPU that are reported in full; all are counted.
pub const REPORTED_MISMATCHES: usize = 4;

/// What is to be done, and with what.
pub struct Job {
    pub parameters: Parameters,
    pub clock: Clock,
    pub layout: Layout,
    pub cpus: usize,
}

/// The job.
pub static JOB: Settled<Option<Job>> = Settled::new(None);
/// The generator of all content.
pub static GENERATOR: Settled<Generator> = Settled::new(Generator::empty());
/// Tick at which the work began, 0 before.
pub static START: AtomicU64 = AtomicU64::new(0);
/// Progress of each vCPU.
pub static PROGRESS: [Progress; MAX_CPUS] = [const { Progress::new() }; MAX_CPUS];

/// The job that the boot vCPU settled.
pub fn job() -> &'static Job {
    match JOB.get() {
        Some(job) => job,
        None => unreachable!(),
    }
}

/// How far a vCPU has come on its way to work.
pub mod stage {
    /// It executes the guest's code.
    pub const RUNS: u32 = 1;
    /// Its memory is filled.
    pub const FILLED: u32 = 2;
}

/// What one vCPU has done.
#[repr(align(64))]
pub struct Progress {
    pub stage: AtomicU32,
    pub pages: AtomicU64,
    pub checked: AtomicU64,
    pub sweeps: AtomicU64,
    pub longest_gap: AtomicU64,
    bad: AtomicU64,
    mismatches: [[AtomicU64; 4]; REPORTED_MISMATCHES],
}

impl Progress {
    const fn new() -> Self {
        Self {
            stage: AtomicU32::new(0),
            pages: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            sweeps: AtomicU64::new(0),
            longest_gap: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            mismatches: [const { [const { AtomicU64::new(0) }; 4] }; REPORTED_MISMATCHES],
        }
    }

    /// Counts a mismatch, and keeps it if it is one of the first. Only the vCPU itself calls this.
    pub fn add_mismatch(&self, mismatch: Mismatch) {
        let count = self.bad.load(Relaxed);
        if let Some(kept) = self.mismatches.get(count as usize) {
            let words = [mismatch.page, mismatch.address, mismatch.expected, mismatch.found];
            for (to, word) in kept.iter().zip(words) {
                to.store(word, Relaxed);
            }
        }
        self.bad.store(count + 1, Release);
    }

    /// Number of mismatches.
    pub fn bad(&self) -> u64 {
        self.bad.load(Acquire)
    }

    /// The mismatch number `index`, if that many were found and it was kept.
    pub fn mismatch(&self, index: usize) -> Option<Mismatch> {
        if index as u64 >= self.bad() {
            return None;
        }
        let [page, address, expected, found] =
            self.mismatches.get(index)?.each_ref().map(|word| word.load(Relaxed));
        Some(Mismatch { page, address, expected, found })
    }
}
