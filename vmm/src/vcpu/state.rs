//! A vCPU's state, and the order in which KVM takes it.
//!
//! Why this order (each line needs those above it):
//!
//! 1. CPUID: decides which bits of all the others exist.
//! 2. TSC frequency: the unit of the offset and of the deadline. Set only where it differs and the host can scale.
//! 3. Special registers: EFER and CR4 allow nested state; the APIC base carries the mode of the LAPIC (xAPIC or
//!    x2APIC), by which the LAPIC's registers are read.
//! 4. Nested state, general registers, XCR0, the XSAVE area (whose extended parts XCR0 and XSS allow), debug
//!    registers.
//! 5. MSRs but the two of time. The kvmclock MSRs among them make KVM write the guest's clock page on the first
//!    entry, by which time the VM's clock and the TSC are right.
//! 6. TSC offset: the deadline is compared with the guest's TSC.
//! 7. LAPIC: its timer mode must be "deadline" before the deadline is set.
//! 8. TSC deadline.
//! 9. MP state, then events last: pending interrupts and exceptions must find everything else in place, and setting
//!    registers drops a pending exception.
//!
//! The VM's clock comes before all vCPUs and its interrupt controllers after them: see `crate::vm_state`.

use godwit_migration::{host::HostError, shape::CpuidEntry};
use godwit_state::Schema;
use kvm_bindings::{
    CpuId, KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_VCPUEVENT_VALID_PAYLOAD, KVM_VCPUEVENT_VALID_SHADOW,
    KVM_VCPUEVENT_VALID_SIPI_VECTOR, KVM_VCPUEVENT_VALID_SMM, KVM_VCPUEVENT_VALID_TRIPLE_FAULT,
    kvm_cpuid_entry2, kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_regs, kvm_sregs2, kvm_vcpu_events,
    kvm_xcrs,
};
use kvm_ioctls::VcpuFd;
use serde::{Deserialize, Serialize};

use super::{
    host::{self, HostCpu},
    msrs::{self, IA32_TSC, IA32_TSC_DEADLINE},
};
use crate::kvm::{KvmError, Plain, sys};

/// Flags of KVM_SET_VCPU_EVENTS that exist today; a state with others comes from a newer kernel.
const EVENT_FLAGS: u32 = KVM_VCPUEVENT_VALID_NMI_PENDING
    | KVM_VCPUEVENT_VALID_SIPI_VECTOR
    | KVM_VCPUEVENT_VALID_SHADOW
    | KVM_VCPUEVENT_VALID_SMM
    | KVM_VCPUEVENT_VALID_PAYLOAD
    | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;

/// Saved state of a vCPU, version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VcpuState {
    /// CPUID as this vCPU sees it.
    pub cpuid: Vec<CpuidEntry>,
    /// Frequency of its TSC in kHz.
    pub tsc_khz: u32,
    /// What KVM adds to the host's TSC; `None` where the source could not tell.
    pub tsc_offset: Option<u64>,
    /// General registers.
    pub regs: Plain<kvm_regs>,
    /// Segments, control registers, EFER, APIC base.
    pub sregs: Plain<kvm_sregs2>,
    /// Debug registers.
    pub debug: Plain<kvm_debugregs>,
    /// Extended control registers.
    pub xcrs: Plain<kvm_xcrs>,
    /// The XSAVE area.
    pub xsave: Vec<u8>,
    /// Model-specific registers and their values, in the order in which they are set.
    pub msrs: Vec<(u32, u64)>,
    /// The local APIC's registers.
    pub lapic: Plain<kvm_lapic_state>,
    /// Running, halted, waiting for INIT or SIPI.
    pub mp_state: u32,
    /// Pending interrupts and exceptions.
    pub events: Plain<kvm_vcpu_events>,
    /// State of a guest's own guest, where there can be one.
    pub nested: Option<Vec<u8>>,
}

impl Schema for VcpuState {
    const KIND: &'static str = "vcpu";
    const VERSION: u16 = 1;
}

/// What a vCPU must know of the host's time to take its state over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoreContext {
    /// To be added to the saved TSC offset, modulo 2^64; `None` where the hosts' TSCs cannot be compared.
    pub tsc_offset_change: Option<u64>,
    /// Nanoseconds since the state was saved: by so much the TSC goes on where there is no offset.
    pub elapsed_nanoseconds: u64,
}

/// The TSC's MSR and the deadline's are set apart from the rest.
fn is_of_time(index: u32) -> bool {
    matches!(index, IA32_TSC | IA32_TSC_DEADLINE)
}

impl VcpuState {
    /// Reads the state of a vCPU that is not in the guest, and to which `cpuid` was given.
    pub(super) fn of(vcpu: &VcpuFd, cpuid: Vec<CpuidEntry>, cpu: HostCpu) -> Result<Self, KvmError> {
        // MP state first: reading it makes KVM deal with INIT and SIPI, which change registers.
        let mp_state = vcpu.get_mp_state().map_err(KvmError::call("KVM_GET_MP_STATE"))?.mp_state;
        let nested = cpu
            .nested
            .then(|| sys::nested_state(vcpu).map_err(KvmError::io("KVM_GET_NESTED_STATE")))
            .transpose()?;
        Ok(Self {
            cpuid,
            tsc_khz: vcpu.get_tsc_khz().map_err(KvmError::call("KVM_GET_TSC_KHZ"))?,
            tsc_offset: sys::tsc_offset(vcpu),
            regs: Plain(vcpu.get_regs().map_err(KvmError::call("KVM_GET_REGS"))?),
            sregs: Plain(sys::get_sregs2(vcpu).map_err(KvmError::io("KVM_GET_SREGS2"))?),
            debug: Plain(vcpu.get_debug_regs().map_err(KvmError::call("KVM_GET_DEBUGREGS"))?),
            xcrs: Plain(vcpu.get_xcrs().map_err(KvmError::call("KVM_GET_XCRS"))?),
            xsave: sys::get_xsave(vcpu, cpu.xsave_bytes).map_err(KvmError::io("KVM_GET_XSAVE2"))?,
            msrs: msrs::read(vcpu, &host::probed()?.msrs)?,
            lapic: Plain(vcpu.get_lapic().map_err(KvmError::call("KVM_GET_LAPIC"))?),
            mp_state,
            events: Plain(vcpu.get_vcpu_events().map_err(KvmError::call("KVM_GET_VCPU_EVENTS"))?),
            nested,
        })
    }

    /// Whether such a state can be set on this host at all: what KVM itself would not check.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn check(&self, cpu: HostCpu) -> Result<(), String> {
        let allowed = &host::probed().map_err(|e| HostError::of(e).0)?.msrs;
        if let Some((index, _)) = self.msrs.iter().find(|(index, _)| !allowed.contains(index)) {
            return Err(format!("MSR {index:#x} cannot be set on this host"));
        }
        if self.xsave.len() > cpu.xsave_bytes {
            return Err(format!(
                "its XSAVE area has {} bytes, this host's has {}",
                self.xsave.len(),
                cpu.xsave_bytes
            ));
        }
        if self.nested.is_some() && !cpu.nested {
            return Err("it may run guests of its own, which this host's KVM cannot".into());
        }
        if self.cpuid.len() > kvm_bindings::KVM_MAX_CPUID_ENTRIES {
            return Err(format!("it has {} CPUID entries", self.cpuid.len()));
        }
        if self.events.0.flags & !EVENT_FLAGS != 0 {
            return Err(format!("its pending events have unknown flags {:#x}", self.events.0.flags));
        }
        Ok(())
    }

    /// Sets the state of a vCPU, in the order that the top of this file explains.
    pub(super) fn apply(
        &self,
        vcpu: &VcpuFd,
        cpu: HostCpu,
        context: &RestoreContext,
    ) -> Result<(), KvmError> {
        self.apply_identity(vcpu)?;
        self.apply_registers(vcpu, cpu)?;
        self.apply_time_and_interrupts(vcpu, context)
    }

    /// Steps 1 and 2.
    fn apply_identity(&self, vcpu: &VcpuFd) -> Result<(), KvmError> {
        let entries: Vec<_> = self.cpuid.iter().map(kvm_entry).collect();
        let cpuid = CpuId::from_entries(&entries).map_err(|e| KvmError::Call {
            what: "making a CPUID list",
            source: std::io::Error::other(format!("{e:?}")),
        })?;
        vcpu.set_cpuid2(&cpuid).map_err(KvmError::call("KVM_SET_CPUID2"))?;
        if vcpu.get_tsc_khz().map_err(KvmError::call("KVM_GET_TSC_KHZ"))? != self.tsc_khz {
            vcpu.set_tsc_khz(self.tsc_khz).map_err(KvmError::call("KVM_SET_TSC_KHZ"))?;
        }
        Ok(())
    }

    /// Steps 3 to 5.
    fn apply_registers(&self, vcpu: &VcpuFd, cpu: HostCpu) -> Result<(), KvmError> {
        sys::set_sregs2(vcpu, &self.sregs.0).map_err(KvmError::io("KVM_SET_SREGS2"))?;
        if let Some(nested) = &self.nested {
            sys::set_nested_state(vcpu, nested).map_err(KvmError::io("KVM_SET_NESTED_STATE"))?;
        }
        vcpu.set_regs(&self.regs.0).map_err(KvmError::call("KVM_SET_REGS"))?;
        // A host without XSAVE has none, and refuses to set even none.
        if self.xcrs.0.nr_xcrs > 0 {
            vcpu.set_xcrs(&self.xcrs.0).map_err(KvmError::call("KVM_SET_XCRS"))?;
        }
        sys::set_xsave(vcpu, &self.xsave, cpu.xsave_bytes).map_err(KvmError::io("KVM_SET_XSAVE"))?;
        vcpu.set_debug_regs(&self.debug.0).map_err(KvmError::call("KVM_SET_DEBUGREGS"))?;
        let timeless: Vec<_> = self.msrs.iter().copied().filter(|(index, _)| !is_of_time(*index)).collect();
        msrs::write(vcpu, &timeless)
    }

    /// Steps 6 to 9.
    fn apply_time_and_interrupts(&self, vcpu: &VcpuFd, context: &RestoreContext) -> Result<(), KvmError> {
        let of = |wanted| self.msrs.iter().copied().find(|(index, _)| *index == wanted);
        match (self.tsc_offset, context.tsc_offset_change) {
            (Some(offset), Some(change)) => sys::set_tsc_offset(vcpu, offset.wrapping_add(change))
                .map_err(KvmError::io("setting KVM_VCPU_TSC_OFFSET"))?,
            _ => {
                if let Some((index, tsc)) = of(IA32_TSC) {
                    let ticks =
                        u128::from(context.elapsed_nanoseconds) * u128::from(self.tsc_khz) / 1_000_000;
                    msrs::write(vcpu, &[(index, tsc.wrapping_add(ticks as u64))])?;
                }
            }
        }
        vcpu.set_lapic(&self.lapic.0).map_err(KvmError::call("KVM_SET_LAPIC"))?;
        if let Some(deadline) = of(IA32_TSC_DEADLINE) {
            msrs::write(vcpu, &[deadline])?;
        }
        let mp_state = kvm_mp_state { mp_state: self.mp_state };
        vcpu.set_mp_state(mp_state).map_err(KvmError::call("KVM_SET_MP_STATE"))?;
        vcpu.set_vcpu_events(&self.events.0).map_err(KvmError::call("KVM_SET_VCPU_EVENTS"))
    }
}

/// A CPUID entry as the migration names it.
pub(crate) fn shape_entry(entry: &kvm_cpuid_entry2) -> CpuidEntry {
    CpuidEntry {
        function: entry.function,
        index: entry.index,
        flags: entry.flags,
        registers: [entry.eax, entry.ebx, entry.ecx, entry.edx],
    }
}

fn kvm_entry(entry: &CpuidEntry) -> kvm_cpuid_entry2 {
    let [eax, ebx, ecx, edx] = entry.registers;
    let CpuidEntry { function, index, flags, .. } = *entry;
    kvm_cpuid_entry2 { function, index, flags, eax, ebx, ecx, edx, ..Default::default() }
}
