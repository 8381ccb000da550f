//! The frequency of the time stamp counter, as KVM's paravirtual clock tells it: one MSR write instead of 10 ms of
//! calibration. The clock is switched off again; the guest keeps time by the counter alone.
//!
//! Neighbours: `clock` (which other ways there are).

use super::ring0;

const SIGNATURE_LEAF: u32 = 0x4000_0000;
const SIGNATURE: (u32, u32, u32) =
    (u32::from_le_bytes(*b"KVMK"), u32::from_le_bytes(*b"VMKV"), u32::from_le_bytes(*b"M\0\0\0"));
const FEATURES_LEAF: u32 = 0x4000_0001;
const CLOCK_FEATURE: u32 = 1 << 3;
const SYSTEM_TIME_MSR: u32 = 0x4b56_4d01;
const ENABLED: u64 = 1;

/// What KVM writes (Documentation/virt/kvm/x86/msr.rst, `pvclock_vcpu_time_info`), as words: version and padding,
/// counter, nanoseconds, multiplier with shift and flags.
#[repr(C, align(32))]
struct TimeInfo([u64; 4]);

static mut TIME_INFO: TimeInfo = TimeInfo([0; 4]);

/// The counter's ticks in a second, if the hypervisor is KVM and has the clock.
pub fn frequency() -> Option<u64> {
    let signature = ring0::cpuid(SIGNATURE_LEAF);
    if (signature.ebx, signature.ecx, signature.edx) != SIGNATURE {
        return None;
    }
    if ring0::cpuid(FEATURES_LEAF).eax & CLOCK_FEATURE == 0 {
        return None;
    }
    let address = &raw mut TIME_INFO;
    ring0::write_msr(SYSTEM_TIME_MSR, address.expose_provenance() as u64 | ENABLED);
    // SAFETY: KVM filled the structure before the write returned; only the boot vCPU gets here.
    let scale = unsafe { (&raw const (*address).0[3]).read_volatile() };
    ring0::write_msr(SYSTEM_TIME_MSR, 0);
    ticks_per_second(scale as u32, (scale >> 32) as i8)
}

/// nanoseconds = (ticks << shift) × multiplier >> 32, turned round for one second.
fn ticks_per_second(multiplier: u32, shift: i8) -> Option<u64> {
    let ticks = (1_000_000_000u64 << 32).checked_div(u64::from(multiplier))?;
    if shift >= 0 { Some(ticks >> shift.min(63)) } else { Some(ticks << shift.unsigned_abs().min(31)) }
}
