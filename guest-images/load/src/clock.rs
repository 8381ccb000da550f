//! Time: the processor's time stamp counter, its frequency, and the watch that notices every pause.
//!
//! The counter runs through a migration on one host, so the longest time between two looks at it is the downtime
//! as the guest saw it. The frequency comes from whoever tells it fastest: KVM's clock, CPUID, else a measurement
//! against the timer chip. Neighbours: `sys::pvclock`, `worker` and `serial` (which look at each step).

use crate::sys::{port, pvclock, ring0, time_stamp};

const HYPERVISOR_LEAF: u32 = 0x4000_0000;
const HYPERVISOR_TIMING_LEAF: u32 = 0x4000_0010;
const TSC_LEAF: u32 = 0x15;
/// Frequencies outside of this are not believed.
const PLAUSIBLE_HERTZ: core::ops::RangeInclusive<u64> = 100_000_000..=20_000_000_000;

/// Ticks of the counter, and their meaning.
#[derive(Clone, Copy, Default)]
pub struct Clock {
    /// Ticks in a second.
    pub hertz: u64,
}

impl Clock {
    /// Finds the frequency; `None` if no source has a plausible one.
    pub fn find() -> Option<Self> {
        [pvclock::frequency, from_hypervisor_leaf, from_tsc_leaf, from_timer_chip]
            .iter()
            .find_map(|source| source().filter(|hertz| PLAUSIBLE_HERTZ.contains(hertz)))
            .map(|hertz| Self { hertz })
    }

    /// Ticks in `microseconds`.
    pub fn ticks(&self, microseconds: u64) -> u64 {
        (u128::from(microseconds) * u128::from(self.hertz) / 1_000_000) as u64
    }

    /// Microseconds in `ticks`.
    pub fn microseconds(&self, ticks: u64) -> u64 {
        (u128::from(ticks) * 1_000_000 / u128::from(self.hertz.max(1))) as u64
    }
}

/// The leaf that VMware introduced and QEMU and others offer: kHz in eax.
fn from_hypervisor_leaf() -> Option<u64> {
    if ring0::cpuid(HYPERVISOR_LEAF).eax < HYPERVISOR_TIMING_LEAF {
        return None;
    }
    Some(u64::from(ring0::cpuid(HYPERVISOR_TIMING_LEAF).eax) * 1000)
}

/// The architecture's leaf: crystal frequency in ecx, ratio ebx / eax.
fn from_tsc_leaf() -> Option<u64> {
    if ring0::cpuid(0).eax < TSC_LEAF {
        return None;
    }
    let leaf = ring0::cpuid(TSC_LEAF);
    (u64::from(leaf.ecx) * u64::from(leaf.ebx)).checked_div(u64::from(leaf.eax))
}

/// Channel 0 of the timer chip (Intel 8254) counts down for 10 ms while the counter runs. Its interrupt goes nowhere.
fn from_timer_chip() -> Option<u64> {
    const CHIP_HERTZ: u64 = 1_193_182;
    const LEAST_COUNTS: u16 = (CHIP_HERTZ / 100) as u16;
    const MOST_LOOKS: u32 = 100_000;

    port::write(CHIP_COMMAND, COUNT_DOWN_16_BITS);
    port::write(CHIP_CHANNEL_0, 0);
    port::write(CHIP_CHANNEL_0, 0);
    let (first, start) = (chip_count(), time_stamp());
    let (counts, end) = (0..MOST_LOOKS)
        .map(|_| (first.wrapping_sub(chip_count()), time_stamp()))
        .find(|&(counts, _)| counts >= LEAST_COUNTS)?;
    Some((end - start) * CHIP_HERTZ / u64::from(counts))
}

const CHIP_CHANNEL_0: u16 = 0x40;
const CHIP_COMMAND: u16 = 0x43;
const COUNT_DOWN_16_BITS: u8 = 0x34;
const HOLD_CHANNEL_0: u8 = 0x00;

fn chip_count() -> u16 {
    port::write(CHIP_COMMAND, HOLD_CHANNEL_0);
    u16::from_le_bytes([port::read(CHIP_CHANNEL_0), port::read(CHIP_CHANNEL_0)])
}

/// Remembers the longest time between two looks.
pub struct Watch {
    last: u64,
    longest: u64,
}

impl Watch {
    /// A watch whose first look is now.
    pub fn new() -> Self {
        Self { last: time_stamp(), longest: 0 }
    }

    /// Looks: the counter's value.
    #[inline(always)]
    pub fn look(&mut self) -> u64 {
        let now = time_stamp();
        self.longest = self.longest.max(now.saturating_sub(self.last));
        self.last = now;
        now
    }

    /// The longest gap in ticks since this was last asked.
    pub fn take_longest(&mut self) -> u64 {
        core::mem::take(&mut self.longest)
    }
}
