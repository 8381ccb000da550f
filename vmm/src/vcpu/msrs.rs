//! Which model-specific registers travel with a vCPU: those that this host's KVM both reads and sets back.
//!
//! KVM_GET_MSR_INDEX_LIST names most of them; the memory-type and machine-check registers are missing there, and
//! some that are there cannot be set. So each candidate is tried once, on a VM made for the purpose.

use std::{ops::RangeInclusive, sync::OnceLock};

use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::{Kvm, VcpuFd};

use crate::kvm::{self, KvmError};

/// The time-stamp counter: set by its offset where the host can, else with the time that passed added.
pub(crate) const IA32_TSC: u32 = 0x10;
/// The LAPIC timer's deadline: set when both the TSC and the LAPIC are right.
pub(crate) const IA32_TSC_DEADLINE: u32 = 0x6e0;
/// The feature control register: decides whether some of the others can be set, so it goes first.
const IA32_FEAT_CTL: u32 = 0x3a;

/// Registers that the list leaves out: memory types, their default, and the machine-check banks.
const UNLISTED: [RangeInclusive<u32>; 6] =
    [0x200..=0x20f, 0x250..=0x250, 0x258..=0x259, 0x268..=0x26f, 0x2ff..=0x2ff, 0x400..=0x47f];
/// Most registers of one call; KVM takes 255.
const BATCH: usize = 128;

/// The registers that travel, in the order in which they are set. Tried once, then remembered.
pub(crate) fn travelling() -> Result<&'static [u32], KvmError> {
    static FOUND: OnceLock<Vec<u32>> = OnceLock::new();
    match FOUND.get() {
        Some(found) => Ok(found),
        None => {
            let found = probe(&kvm::open()?)?;
            Ok(FOUND.get_or_init(|| found))
        }
    }
}

fn probe(kvm: &Kvm) -> Result<Vec<u32>, KvmError> {
    let vm = kvm.create_vm().map_err(KvmError::call("KVM_CREATE_VM"))?;
    vm.create_irq_chip().map_err(KvmError::call("KVM_CREATE_IRQCHIP"))?;
    let vcpu = vm.create_vcpu(0).map_err(KvmError::call("KVM_CREATE_VCPU"))?;
    let cpuid = kvm
        .get_supported_cpuid(kvm_bindings::KVM_MAX_CPUID_ENTRIES)
        .map_err(KvmError::call("KVM_GET_SUPPORTED_CPUID"))?;
    vcpu.set_cpuid2(&cpuid).map_err(KvmError::call("KVM_SET_CPUID2"))?;
    let listed = kvm.get_msr_index_list().map_err(KvmError::call("KVM_GET_MSR_INDEX_LIST"))?;
    let mut candidates = listed.as_slice().to_vec();
    candidates.extend(UNLISTED.into_iter().flatten());
    candidates.sort_by_key(|&index| (index != IA32_FEAT_CTL, index == IA32_TSC_DEADLINE, index));
    candidates.dedup();
    Ok(candidates.into_iter().filter(|&index| can_travel(&vcpu, index)).collect())
}

fn can_travel(vcpu: &VcpuFd, index: u32) -> bool {
    let entry = kvm_msr_entry { index, ..Default::default() };
    let Ok(mut one) = Msrs::from_entries(&[entry]) else { return false };
    matches!(vcpu.get_msrs(&mut one), Ok(1)) && matches!(vcpu.set_msrs(&one), Ok(1))
}

/// Reads the registers `indices`.
pub(super) fn read(vcpu: &VcpuFd, indices: &[u32]) -> Result<Vec<(u32, u64)>, KvmError> {
    let mut values = Vec::with_capacity(indices.len());
    for batch in indices.chunks(BATCH) {
        let entries: Vec<_> = batch.iter().map(|&index| kvm_msr_entry { index, ..Default::default() }).collect();
        let mut msrs = wrap(&entries)?;
        let count = vcpu.get_msrs(&mut msrs).map_err(KvmError::call("KVM_GET_MSRS"))?;
        all_done(count, batch, "KVM_GET_MSRS")?;
        values.extend(msrs.as_slice().iter().map(|entry| (entry.index, entry.data)));
    }
    Ok(values)
}

/// Sets registers.
pub(super) fn write(vcpu: &VcpuFd, values: &[(u32, u64)]) -> Result<(), KvmError> {
    for batch in values.chunks(BATCH) {
        let entries: Vec<_> =
            batch.iter().map(|&(index, data)| kvm_msr_entry { index, data, ..Default::default() }).collect();
        let indices: Vec<_> = batch.iter().map(|&(index, _)| index).collect();
        let count = vcpu.set_msrs(&wrap(&entries)?).map_err(KvmError::call("KVM_SET_MSRS"))?;
        all_done(count, &indices, "KVM_SET_MSRS")?;
    }
    Ok(())
}

fn wrap(entries: &[kvm_msr_entry]) -> Result<Msrs, KvmError> {
    Msrs::from_entries(entries)
        .map_err(|e| KvmError::Call { what: "making a list of MSRs", source: std::io::Error::other(format!("{e:?}")) })
}

/// KVM stops at the first register that it refuses, and says how many it did.
fn all_done(count: usize, batch: &[u32], what: &'static str) -> Result<(), KvmError> {
    match batch.get(count) {
        None => Ok(()),
        Some(index) => {
            let source = std::io::Error::other(format!("MSR {index:#x} was refused"));
            Err(KvmError::Call { what, source })
        }
    }
}
