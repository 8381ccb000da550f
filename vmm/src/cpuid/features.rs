//! What all vCPUs of a machine offer: KVM's list, less what does not survive a move to another host.
//!
//! Taken out: performance counters, debug store and processor trace (their contents are the host CPU's own), SGX (its
//! memory cannot be read), the invariant TSC (a host with another frequency and no TSC scaling breaks the promise;
//! guests keep time by the KVM clock instead). KVM itself sets OSXSAVE and OSPKE from the guest's CR4, so they are
//! clear here and two lists can be compared.

use kvm_bindings::kvm_cpuid_entry2;

use super::{CpuidError, leaf};

/// What a machine offers beyond KVM's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineFeatures {
    /// `KVM_CAP_TSC_DEADLINE_TIMER` is there and so is the in-kernel APIC: not in the list, since it depends on both.
    pub tsc_deadline_timer: bool,
    /// Frequency of the guest's TSC in kHz (`KVM_GET_TSC_KHZ`), told to the guest in leaf 0x40000010.
    pub tsc_khz: Option<u32>,
}

/// Frequency of KVM's APIC timer, in kHz: 1 GHz, a constant of KVM.
const APIC_TIMER_KHZ: u32 = 1_000_000;

// Leaf 1, ECX.
const DTES64: u32 = 1 << 2;
const DS_CPL: u32 = 1 << 4;
const PDCM: u32 = 1 << 15;
const TSC_DEADLINE: u32 = 1 << 24;
const OSXSAVE: u32 = 1 << 27;
const HYPERVISOR: u32 = 1 << 31;
// Leaf 1, EDX.
const DEBUG_STORE: u32 = 1 << 21;
// Leaf 6, EAX.
const ARAT: u32 = 1 << 2;
// Leaf 7.0, EBX and ECX.
const SGX: u32 = 1 << 2;
const PROCESSOR_TRACE: u32 = 1 << 25;
const OSPKE: u32 = 1 << 4;
const SGX_LAUNCH_CONTROL: u32 = 1 << 30;
// Leaf 0x80000001, ECX.
const PERFORMANCE_COUNTERS: u32 = 1 << 23 | 1 << 24 | 1 << 28;
// Leaf 0x80000007, EDX.
const INVARIANT_TSC: u32 = 1 << 8;

/// Narrows KVM's list to what a machine of ours offers.
pub(super) fn narrow(entries: &mut Vec<kvm_cpuid_entry2>, offers: MachineFeatures) -> Result<(), CpuidError> {
    leaf::required(entries, leaf::BASIC)?;
    let features = leaf::required(entries, leaf::FEATURES)?;
    features.ecx &= !(DTES64 | DS_CPL | PDCM | TSC_DEADLINE | OSXSAVE);
    features.ecx |= HYPERVISOR;
    if offers.tsc_deadline_timer {
        features.ecx |= TSC_DEADLINE;
    }
    features.edx &= !DEBUG_STORE;

    for entry in entries.iter_mut() {
        match (entry.function, entry.index) {
            // KVM's APIC timer always runs; the rest of the leaf is the host's power management.
            (leaf::POWER, _) => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (ARAT, 0, 0, 0),
            (leaf::STRUCTURED_FEATURES, 0) => {
                entry.ebx &= !(SGX | PROCESSOR_TRACE);
                entry.ecx &= !(OSPKE | SGX_LAUNCH_CONTROL);
            }
            (leaf::PERFORMANCE | leaf::SGX | leaf::TRACE | leaf::EXTENDED_PERFORMANCE, _) => {
                (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0);
            }
            (leaf::EXTENDED_FEATURES, _) => entry.ecx &= !PERFORMANCE_COUNTERS,
            (leaf::EXTENDED_POWER, _) => entry.edx &= !INVARIANT_TSC,
            _ => {}
        }
    }
    if let Some(khz) = offers.tsc_khz {
        add_timing(entries, khz);
    }
    // A leaf that is not listed reads as zero, and the list has a limit.
    entries.retain(|e| [e.eax, e.ebx, e.ecx, e.edx] != [0; 4]);
    Ok(())
}

/// Tells the frequencies where there is a hypervisor leaf that can point to them.
fn add_timing(entries: &mut Vec<kvm_cpuid_entry2>, tsc_khz: u32) {
    let Some(signature) = leaf::all(entries, leaf::HYPERVISOR).next() else { return };
    signature.eax = signature.eax.max(leaf::HYPERVISOR_TIMING);
    entries.retain(|e| e.function != leaf::HYPERVISOR_TIMING);
    entries.push(leaf::entry(leaf::HYPERVISOR_TIMING, [tsc_khz, APIC_TIMER_KHZ, 0, 0]));
}
