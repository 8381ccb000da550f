//! State of the VM itself: interrupt controllers, timer, clock.
//!
//! Order at a restore: the clock first, because the vCPUs' TSC offsets are computed from it; then the vCPUs; then
//! the interrupt controllers, because setting the IO-APIC delivers what is pending in it to local APICs that must
//! be the guest's by then; the timer last, because it starts to tick.
//!
//! Neighbours: `crate::vcpu::state` for the vCPUs' own order; `crate::machine` calls both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use godwit_state::Schema;
use kvm_bindings::{
    KVM_CLOCK_HOST_TSC, KVM_CLOCK_REALTIME, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER,
    KVM_IRQCHIP_PIC_SLAVE, kvm_clock_data, kvm_irqchip, kvm_pit_state2,
};
use kvm_ioctls::VmFd;
use serde::{Deserialize, Serialize};

use crate::{
    kvm::{KvmError, Plain},
    vcpu::state::RestoreContext,
};

/// The three interrupt controllers that every machine has, by KVM's numbers.
const CHIPS: [u32; 3] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC];

/// Saved state of the interrupt controllers, version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct IrqchipState {
    /// Master PIC, slave PIC, IO-APIC.
    pub chips: [Plain<kvm_irqchip>; 3],
}

impl Schema for IrqchipState {
    const KIND: &'static str = "irqchip";
    const VERSION: u16 = 1;
}

impl IrqchipState {
    /// Reads it.
    pub(crate) fn of(vm: &VmFd) -> Result<Self, KvmError> {
        let mut chips = [Plain::default(); 3];
        for (chip, chip_id) in chips.iter_mut().zip(CHIPS) {
            chip.0 = kvm_irqchip { chip_id, ..Default::default() };
            vm.get_irqchip(&mut chip.0).map_err(KvmError::call("KVM_GET_IRQCHIP"))?;
        }
        Ok(Self { chips })
    }

    /// Sets it. Each chip goes where its place says, whatever number it carries.
    pub(crate) fn apply(&self, vm: &VmFd) -> Result<(), KvmError> {
        for (chip, chip_id) in self.chips.iter().zip(CHIPS) {
            let chip = kvm_irqchip { chip_id, ..chip.0 };
            vm.set_irqchip(&chip).map_err(KvmError::call("KVM_SET_IRQCHIP"))?;
        }
        Ok(())
    }
}

/// Saved state of the 8254 timer, version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PitState {
    /// Its three channels.
    pub pit: Plain<kvm_pit_state2>,
}

impl Schema for PitState {
    const KIND: &'static str = "pit";
    const VERSION: u16 = 1;
}

impl PitState {
    /// Reads it.
    pub(crate) fn of(vm: &VmFd) -> Result<Self, KvmError> {
        Ok(Self { pit: Plain(vm.get_pit2().map_err(KvmError::call("KVM_GET_PIT2"))?) })
    }

    /// Sets it.
    pub(crate) fn apply(&self, vm: &VmFd) -> Result<(), KvmError> {
        vm.set_pit2(&self.pit.0).map_err(KvmError::call("KVM_SET_PIT2"))
    }
}

/// Saved state of the guest's clock, version 1: what it showed, at which moment of the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClockState {
    /// kvmclock in nanoseconds.
    pub guest_nanoseconds: u64,
    /// Wall-clock time of the same moment, in nanoseconds since 1970.
    pub real_nanoseconds: u64,
    /// The host's TSC at that moment, where KVM pairs them.
    pub host_tsc: Option<u64>,
}

impl Schema for ClockState {
    const KIND: &'static str = "clock";
    const VERSION: u16 = 1;
}

impl ClockState {
    /// Reads it.
    pub(crate) fn of(vm: &VmFd) -> Result<Self, KvmError> {
        let clock = vm.get_clock().map_err(KvmError::call("KVM_GET_CLOCK"))?;
        let paired = clock.flags & KVM_CLOCK_REALTIME != 0;
        Ok(Self {
            guest_nanoseconds: clock.clock,
            real_nanoseconds: if paired { clock.realtime } else { real_nanoseconds_now() },
            host_tsc: (clock.flags & KVM_CLOCK_HOST_TSC != 0).then_some(clock.host_tsc),
        })
    }

    /// Sets the clock to what it would show now had it never stopped, and tells what the vCPUs need to set their
    /// TSCs likewise. KVM never moves it backwards: a target whose wall clock is behind the source's goes on from
    /// the saved value.
    pub(crate) fn apply(&self, vm: &VmFd, tsc_khz: u32) -> Result<RestoreContext, KvmError> {
        let wanted = kvm_clock_data {
            clock: self.guest_nanoseconds,
            flags: KVM_CLOCK_REALTIME,
            realtime: self.real_nanoseconds,
            ..Default::default()
        };
        vm.set_clock(&wanted).map_err(KvmError::call("KVM_SET_CLOCK"))?;
        let here = Self::of(vm)?;
        let elapsed_nanoseconds = here.guest_nanoseconds.saturating_sub(self.guest_nanoseconds);
        let host_tscs = self.host_tsc.zip(here.host_tsc);
        let tsc_offset_change =
            host_tscs.map(|(source, target)| offset_change(elapsed_nanoseconds, tsc_khz, source, target));
        Ok(RestoreContext { tsc_offset_change, elapsed_nanoseconds })
    }
}

/// By how much a vCPU's TSC offset changes, modulo 2^64, so that its TSC goes on by the time that passed although the
/// host's TSC jumped from `source` to `target`. Linux, virt/kvm/devices/vcpu.rst §4.1:
/// `offset_target = offset_source − (guest_source − guest_target) · frequency + (tsc_source − tsc_target)`.
pub(crate) fn offset_change(elapsed_nanoseconds: u64, tsc_khz: u32, source: u64, target: u64) -> u64 {
    let ticks = u128::from(elapsed_nanoseconds) * u128::from(tsc_khz) / 1_000_000;
    (ticks as u64).wrapping_add(source.wrapping_sub(target))
}

fn real_nanoseconds_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
