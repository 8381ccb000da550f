//! Which model-specific registers travel with a vCPU: those that this host's KVM both reads and sets back.
//!
//! KVM_GET_MSR_INDEX_LIST names most of them; the memory-type and machine-check registers are missing there, and
//! some that are there cannot be set. So the candidates are tried once, on a vCPU made for the purpose (`host`).

use std::ops::RangeInclusive;

use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::VcpuFd;

use crate::kvm::KvmError;

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

/// Of `listed` (KVM's own list) and the unlisted ones, those that travel, in the order in which they are set. `vcpu`
/// is one that will never run.
pub(super) fn travelling(vcpu: &VcpuFd, listed: &[u32]) -> Result<Vec<u32>, KvmError> {
    let mut candidates = listed.to_vec();
    candidates.extend(UNLISTED.into_iter().flatten());
    candidates.sort_by_key(|&index| (index != IA32_FEAT_CTL, index == IA32_TSC_DEADLINE, index));
    candidates.dedup();
    let readable = accepted(&candidates, |batch| {
        let mut msrs = empty(batch)?;
        vcpu.get_msrs(&mut msrs).map_err(KvmError::call("KVM_GET_MSRS"))
    })?;
    accepted(&readable, |batch| {
        let mut msrs = empty(batch)?;
        vcpu.get_msrs(&mut msrs).map_err(KvmError::call("KVM_GET_MSRS"))?;
        vcpu.set_msrs(&msrs).map_err(KvmError::call("KVM_SET_MSRS"))
    })
}

/// Those of `indices` that `attempt` accepts. It gets a batch, stops at the first that it refuses, and says how many
/// it did.
fn accepted(
    indices: &[u32],
    attempt: impl Fn(&[u32]) -> Result<usize, KvmError>,
) -> Result<Vec<u32>, KvmError> {
    let mut good = Vec::with_capacity(indices.len());
    let mut rest = indices;
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(BATCH)];
        let count = attempt(batch)?.min(batch.len());
        good.extend_from_slice(&batch[..count]);
        let refused = usize::from(count < batch.len());
        rest = &rest[count + refused..];
    }
    Ok(good)
}

fn empty(indices: &[u32]) -> Result<Msrs, KvmError> {
    let entries: Vec<_> =
        indices.iter().map(|&index| kvm_msr_entry { index, ..Default::default() }).collect();
    wrap(&entries)
}

/// Reads the registers `indices`.
pub(super) fn read(vcpu: &VcpuFd, indices: &[u32]) -> Result<Vec<(u32, u64)>, KvmError> {
    let mut values = Vec::with_capacity(indices.len());
    for batch in indices.chunks(BATCH) {
        let entries: Vec<_> =
            batch.iter().map(|&index| kvm_msr_entry { index, ..Default::default() }).collect();
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
    Msrs::from_entries(entries).map_err(|e| KvmError::Call {
        what: "making a list of MSRs",
        source: std::io::Error::other(format!("{e:?}")),
    })
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
