//! What a vCPU says of itself when the guest asks with CPUID.
//!
//! Starts from what KVM supports, never from the host's own leaves: [`for_machine`] once takes out what cannot be
//! moved to another host and adds what the machine offers, [`for_vcpu`] then gives each vCPU its identity and its
//! place. Pure: asks KVM nothing. Neighbours: the machine asks KVM for the supported list and sets the result;
//! comparing two hosts is the migration's.

mod features;
#[cfg(test)]
mod features_test;
mod leaf;
mod topology;
#[cfg(test)]
mod topology_test;

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use thiserror::Error;

pub use features::MachineFeatures;

/// Why no CPUID can be made.
#[derive(Debug, Error)]
pub enum CpuidError {
    /// KVM's list has no such leaf, so no guest could run.
    #[error("KVM on this host does not list CPUID leaf {0:#x}; update its kernel")]
    MissingLeaf(u32),
    /// There is a limit to what is asked of KVM at once.
    #[error("{0} CPUID entries are more than the limit of {KVM_MAX_CPUID_ENTRIES}")]
    TooManyEntries(usize),
    /// There is no such vCPU.
    #[error("there is no vCPU {id} in a machine of {count}")]
    NoSuchVcpu {
        /// The vCPU asked for, counted from 0.
        id: u8,
        /// vCPUs of the machine.
        count: u8,
    },
}

/// CPUID common to all vCPUs of a machine, from the list of `KVM_GET_SUPPORTED_CPUID`.
///
/// # Errors
/// [`CpuidError::MissingLeaf`] without leaves 0 and 1, [`CpuidError::TooManyEntries`].
pub fn for_machine(supported: &CpuId, offers: MachineFeatures) -> Result<CpuId, CpuidError> {
    let mut entries = supported.as_slice().to_vec();
    features::narrow(&mut entries, offers)?;
    collect(&entries)
}

/// CPUID of vCPU `id` of `count`, from the list of [`for_machine`] (or of `KVM_GET_SUPPORTED_CPUID` itself).
///
/// The APIC id is `id`; all vCPUs are cores of one thread each in one package.
///
/// # Errors
/// [`CpuidError::NoSuchVcpu`], [`CpuidError::MissingLeaf`] without leaves 0 and 1, [`CpuidError::TooManyEntries`].
pub fn for_vcpu(supported: &CpuId, id: u8, count: u8) -> Result<CpuId, CpuidError> {
    if id >= count {
        return Err(CpuidError::NoSuchVcpu { id, count });
    }
    let mut entries = supported.as_slice().to_vec();
    topology::place(&mut entries, id, count)?;
    collect(&entries)
}

fn collect(entries: &[kvm_bindings::kvm_cpuid_entry2]) -> Result<CpuId, CpuidError> {
    CpuId::from_entries(entries).map_err(|_| CpuidError::TooManyEntries(entries.len()))
}
