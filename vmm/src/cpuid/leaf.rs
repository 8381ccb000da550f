//! CPUID leaves by number, and finding them in KVM's list.

use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

use super::CpuidError;

/// Highest basic leaf, vendor.
pub(super) const BASIC: u32 = 0;
/// Family, APIC id, features.
pub(super) const FEATURES: u32 = 1;
/// Caches (Intel).
pub(super) const CACHES: u32 = 4;
/// Power: bit 2 of EAX says that the APIC timer never stops.
pub(super) const POWER: u32 = 6;
/// More features.
pub(super) const STRUCTURED_FEATURES: u32 = 7;
/// Performance counters.
pub(super) const PERFORMANCE: u32 = 0xa;
/// Topology.
pub(super) const TOPOLOGY: u32 = 0xb;
/// SGX.
pub(super) const SGX: u32 = 0x12;
/// Processor trace.
pub(super) const TRACE: u32 = 0x14;
/// Topology, with more levels.
pub(super) const TOPOLOGY_V2: u32 = 0x1f;
/// The hypervisor's signature and its highest leaf.
pub(super) const HYPERVISOR: u32 = 0x4000_0000;
/// Frequencies of TSC and APIC timer, in kHz.
pub(super) const HYPERVISOR_TIMING: u32 = 0x4000_0010;
/// More features, AMD's.
pub(super) const EXTENDED_FEATURES: u32 = 0x8000_0001;
/// Bit 8 of EDX: the TSC is invariant.
pub(super) const EXTENDED_POWER: u32 = 0x8000_0007;
/// Address sizes, number of cores (AMD).
pub(super) const EXTENDED_SIZES: u32 = 0x8000_0008;
/// Caches (AMD).
pub(super) const EXTENDED_CACHES: u32 = 0x8000_001d;
/// APIC id, core, node (AMD).
pub(super) const EXTENDED_TOPOLOGY: u32 = 0x8000_001e;
/// Performance counters (AMD).
pub(super) const EXTENDED_PERFORMANCE: u32 = 0x8000_0022;

/// An entry for `function` that has no sub-leaves.
pub(super) fn entry(function: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 { function, eax, ebx, ecx, edx, ..Default::default() }
}

/// An entry for sub-leaf `index` of `function`.
pub(super) fn sub_entry(function: u32, index: u32, registers: [u32; 4]) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 { index, flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX, ..entry(function, registers) }
}

/// All sub-leaves of `function`.
pub(super) fn all(
    entries: &mut [kvm_cpuid_entry2],
    function: u32,
) -> impl Iterator<Item = &mut kvm_cpuid_entry2> {
    entries.iter_mut().filter(move |e| e.function == function)
}

/// A leaf without which there is no CPU.
pub(super) fn required(
    entries: &mut [kvm_cpuid_entry2],
    function: u32,
) -> Result<&mut kvm_cpuid_entry2, CpuidError> {
    all(entries, function).next().ok_or(CpuidError::MissingLeaf(function))
}
