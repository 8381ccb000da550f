//! What ring 3 asks of ring 0: by the trap of `boot`'s `service_entry`, a service number in r8.
//!
//! It owns the numbers and the registers of the services, and nothing that a service means: the LAPIC timer is
//! `lapic`'s, model-specific registers belong to who reads them.

use core::arch::asm;

const WRITE_MSR: u64 = 0;
const CPUID: u64 = 1;
const SLEEP: u64 = 2;
const HALT: u64 = 3;
const TRIPLE_FAULT: u64 = 4;

/// The answer of one CPUID leaf.
pub struct Cpuid {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// Executes a service with `eax`, `ecx`, `edx` as given, and returns eax, ebx (of CPUID), ecx, edx.
fn call(service: u64, eax: u32, ecx: u32, edx: u32) -> Cpuid {
    let mut answer = Cpuid { eax, ebx: 0, ecx, edx };
    // SAFETY: the trap comes back behind the call with all registers but those named here as they were; services
    // touch no memory that Rust knows of.
    unsafe {
        asm!(
            "call service_entry",
            in("r8") service,
            inout("eax") answer.eax,
            inout("ecx") answer.ecx,
            inout("edx") answer.edx,
            inout("r9d") answer.ebx,
            out("r10") _,
        );
    }
    answer
}

/// Sets a model-specific register. One that does not exist ends the guest with a fault report.
pub fn write_msr(register: u32, value: u64) {
    call(WRITE_MSR, value as u32, register, (value >> 32) as u32);
}

/// A CPUID leaf as ring 0 sees it, which is as the VMM set it (ring 3 may see the host's).
pub fn cpuid(leaf: u32) -> Cpuid {
    call(CPUID, leaf, 0, 0)
}

/// Waits for one interrupt, which may already be pending.
pub fn wait_for_interrupt() {
    call(SLEEP, 0, 0, 0);
}

/// Stops this vCPU for ever.
pub fn halt() -> ! {
    loop {
        call(HALT, 0, 0, 0);
    }
}

/// Shuts the vCPU down by a fault that cannot be delivered.
pub fn triple_fault() -> ! {
    loop {
        call(TRIPLE_FAULT, 0, 0, 0);
    }
}
