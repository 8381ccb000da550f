//! Everything of the guest that touches the processor, ports or memory by address: the only `unsafe` code.
//!
//! What it offers is safe to call; what it does not know is what the guest does with it.

pub mod acpi;
pub mod boot;
pub mod boot_information;
pub mod lapic;
mod memory_functions;
pub mod paging;
pub mod port;
pub mod pvclock;
pub mod resident;
pub mod ring0;
pub mod settled;
pub mod vcpus;

/// The time stamp counter.
#[inline(always)]
pub fn time_stamp() -> u64 {
    // SAFETY: every x86-64 processor has the counter, and ring 3 may read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
