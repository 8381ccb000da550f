//! What this host's KVM can do for a vCPU whose state travels: found out once in a process, on a VM made for it.
//!
//! Making and closing a VM takes milliseconds, so this is done when a migration is prepared, never while the guest
//! waits; the closing, which waits for the kernel's grace periods, is left to a thread of its own.

use std::sync::OnceLock;

use kvm_bindings::{KVM_CAP_NESTED_STATE, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_TSC_CONTROL, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Kvm, VmFd};

use super::msrs;
use crate::kvm::{self, KvmError, sys};

/// Interrupt pins of the probe's VM; any number does.
const PINS: u64 = 24;

/// Sizes and abilities that saving and restoring a vCPU depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostCpu {
    /// Bytes of the XSAVE area.
    pub xsave_bytes: usize,
    /// Whether a guest can have guests of its own, whose state KVM then keeps.
    pub nested: bool,
}

impl HostCpu {
    /// What the host of `vm` has.
    pub(crate) fn of(vm: &VmFd) -> Self {
        let nested = vm.check_extension_raw(KVM_CAP_NESTED_STATE.into()) > 0;
        Self { xsave_bytes: sys::xsave_bytes(vm), nested }
    }
}

/// What was found out.
#[derive(Debug)]
pub(crate) struct Host {
    /// Sizes and abilities.
    pub cpu: HostCpu,
    /// MSRs that travel, in the order in which they are set.
    pub msrs: Vec<u32>,
    /// Frequency of a vCPU's TSC in kHz.
    pub tsc_khz: u32,
    /// Whether a vCPU's TSC can have another frequency.
    pub tsc_scaling: bool,
    /// Most vCPUs of a VM.
    pub max_vcpus: usize,
}

/// The host. The first call finds out, the others remember.
pub(crate) fn probed() -> Result<&'static Host, KvmError> {
    static FOUND: OnceLock<Host> = OnceLock::new();
    match FOUND.get() {
        Some(found) => Ok(found),
        None => {
            let found = probe(&kvm::open()?)?;
            Ok(FOUND.get_or_init(|| found))
        }
    }
}

fn probe(kvm: &Kvm) -> Result<Host, KvmError> {
    let vm = kvm::create_vm(kvm)?;
    // Local APICs in the kernel, without the other controllers: the least that has all the MSRs.
    sys::enable_cap(&vm, KVM_CAP_SPLIT_IRQCHIP, PINS)
        .map_err(KvmError::io("KVM_ENABLE_CAP of KVM_CAP_SPLIT_IRQCHIP"))?;
    let vcpu = vm.create_vcpu(0).map_err(KvmError::call("KVM_CREATE_VCPU"))?;
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
    let cpuid = cpuid.map_err(KvmError::call("KVM_GET_SUPPORTED_CPUID"))?;
    vcpu.set_cpuid2(&cpuid).map_err(KvmError::call("KVM_SET_CPUID2"))?;
    let listed = kvm.get_msr_index_list().map_err(KvmError::call("KVM_GET_MSR_INDEX_LIST"))?;
    let host = Host {
        cpu: HostCpu::of(&vm),
        msrs: msrs::travelling(&vcpu, listed.as_slice())?,
        tsc_khz: vcpu.get_tsc_khz().map_err(KvmError::call("KVM_GET_TSC_KHZ"))?,
        tsc_scaling: kvm.check_extension_raw(KVM_CAP_TSC_CONTROL.into()) > 0,
        max_vcpus: kvm.get_max_vcpus(),
    };
    // Where no thread can be had, the closure is dropped here and now, and the VM with it.
    let _ = std::thread::Builder::new().name("vm-close".into()).spawn(move || drop((vcpu, vm)));
    Ok(host)
}
