//! Which vCPUs there are, and getting them to work.
//!
//! Neighbours: `sys::acpi` (the list), `sys::vcpus` and `sys::lapic` (the starting).

use core::sync::atomic::Ordering::Acquire;

use crate::clock::Clock;
use crate::shared::{PROGRESS, stage};
use crate::sys::acpi::Processors;
use crate::sys::boot::MAX_CPUS;
use crate::sys::vcpus::Entry;
use crate::sys::{lapic, time_stamp, vcpus};

/// Time between a vCPU's reset and its start.
const RESET_MICROSECONDS: u64 = 200;
/// Time for a vCPU to run after its first start message, and after its second.
const PATIENCE_MICROSECONDS: [u64; 2] = [20_000, 2_000_000];

/// APIC ids of the vCPUs to use, the boot vCPU's first.
pub struct Cpus {
    ids: [u32; MAX_CPUS],
    count: usize,
}

impl Cpus {
    /// Chooses `wanted` of the listed vCPUs (all of them if `None`). Where ACPI lists none, vCPUs are assumed to
    /// have the APIC ids 0, 1, 2 and so on. The error is how many there are.
    pub fn choose(listed: &Processors, wanted: Option<usize>) -> Result<Self, usize> {
        let boot = lapic::id();
        let mut cpus = Self { ids: [boot; MAX_CPUS], count: 1 };
        let assumed: [u32; MAX_CPUS] = core::array::from_fn(|index| index as u32);
        let ids = match listed.ids() {
            [] if wanted.is_some() => &assumed,
            ids => ids,
        };
        let available = ids.len().max(1);
        let count = wanted.unwrap_or(available);
        if count > available {
            return Err(available);
        }
        for &id in ids.iter().filter(|&&id| id != boot).take(count - 1) {
            cpus.ids[cpus.count] = id;
            cpus.count += 1;
        }
        Ok(cpus)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Starts all but the boot vCPU at `entry`, one after the other. The error is the one that did not start.
    pub fn start(&self, clock: &Clock, entry: Entry) -> Result<(), usize> {
        for (index, progress) in PROGRESS.iter().enumerate().take(self.count).skip(1) {
            vcpus::prepare(index, self.ids[index], entry);
            wait(clock, RESET_MICROSECONDS, || false);
            let runs = || progress.stage.load(Acquire) >= stage::RUNS;
            let started = PATIENCE_MICROSECONDS.iter().any(|&patience| {
                lapic::start(self.ids[index]);
                wait(clock, patience, runs)
            });
            if !started {
                return Err(index);
            }
        }
        Ok(())
    }
}

/// Waits until `happened`, at most for `microseconds`; returns whether it did.
fn wait(clock: &Clock, microseconds: u64, happened: impl Fn() -> bool) -> bool {
    let end = time_stamp() + clock.ticks(microseconds);
    while !happened() {
        if time_stamp() > end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}
