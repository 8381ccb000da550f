//! Why a guest of a given shape cannot run on this host: every reason at once, in words.

use std::fs;

use godwit_devices::Kind;
use godwit_migration::host::HostError;
use godwit_migration::limits::MAX_REASONS;
use godwit_migration::shape::{CpuShape, CpuidEntry, DeviceShape, MachineShape};
use kvm_bindings::KVM_MAX_CPUID_ENTRIES;
use kvm_ioctls::Kvm;

use super::{features, wiring};
use crate::{
    cpuid::{self, MachineFeatures},
    device_set::{DeviceSet, QueueOptions},
    kvm::{self, KvmError},
    memory,
    vcpu::{
        host::{self, Host},
        state::shape_entry,
    },
};

/// KVM takes a TSC frequency this many millionths off the host's as the same (its parameter tsc_tolerance_ppm).
const TSC_TOLERANCE_PPM: u64 = 250;

/// Every reason, up to [`MAX_REASONS`].
pub(super) fn of(shape: &MachineShape, here: &DeviceSet) -> Vec<String> {
    if let Err(reason) = shape.check() {
        // What cannot be at all is not looked at any further.
        return vec![format!("the guest's machine cannot be: {reason}")];
    }
    let mut reasons = Vec::new();
    memory_reasons(shape, &mut reasons);
    device_reasons(&shape.devices, here, &mut reasons);
    if let Err(error) = cpu_reasons(&shape.cpus, &mut reasons) {
        reasons.push(HostError::of(error).0);
    }
    reasons.truncate(MAX_REASONS);
    reasons
}

fn memory_reasons(shape: &MachineShape, reasons: &mut Vec<String>) {
    let wanted = shape.memory.bytes();
    if shape.memory != memory::shape(wanted) {
        reasons.push("the guest's memory is laid out in another way than this build does".into());
    }
    match available_bytes() {
        Some(here) if here < wanted => reasons.push(format!(
            "the guest has {} of memory, this host has {} available",
            in_units(wanted),
            in_units(here)
        )),
        _ => {}
    }
}

/// Memory that this host could still give, swap included; `None` where it does not tell.
fn available_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some((kib("MemAvailable")? + kib("SwapFree").unwrap_or(0)) << 10)
}

fn in_units(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes >= 10 << 30 => format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn device_reasons(devices: &[DeviceShape], here: &DeviceSet, reasons: &mut Vec<String>) {
    for device in devices {
        match Kind::named(&device.kind) {
            None => reasons.push(format!(
                "this build has no device '{}' (the guest's '{}')",
                device.kind, device.instance
            )),
            Some(kind) if !kind.reads(device.version) => reasons.push(format!(
                "the state of the guest's '{}' ('{}') has version {}, this build reads {} to {}",
                device.instance, device.kind, device.version, kind.oldest, kind.version
            )),
            Some(_) => {}
        }
    }
    reasons.extend(devices_differ(devices, here));
}

/// Why a machine with the devices `here` is not one for a guest with the devices `guest`: every reason, in words.
pub(super) fn devices_differ(guest: &[DeviceShape], here: &DeviceSet) -> Vec<String> {
    let here = wiring::outlines(here);
    let mut reasons = Vec::new();
    for device in guest {
        let (instance, kind) = (&device.instance, &device.kind);
        match here.iter().find(|one| one.instance == *instance) {
            Some(one) if one.kind == kind => reasons.extend(queues_differ(device, &one.queue_sizes)),
            Some(one) => {
                reasons.push(format!("the guest's '{instance}' is a '{kind}', here it is a '{}'", one.kind))
            }
            // A kind that this build does not have has its own reason.
            None if Kind::named(kind).is_none() => {}
            None => {
                let flag =
                    DeviceSet::flag(kind).map_or(String::new(), |flag| format!("; start it with {flag}"));
                reasons
                    .push(format!("the guest has '{instance}' ('{kind}'), this side was given none{flag}"));
            }
        }
    }
    for one in here.iter().filter(|one| guest.iter().all(|device| device.instance != one.instance)) {
        let flag = DeviceSet::flag(one.kind).map_or(String::new(), |flag| format!("; leave out its {flag}"));
        reasons.push(format!(
            "this side has '{}' ('{}'), which the guest does not have{flag}",
            one.instance, one.kind
        ));
    }
    if reasons.is_empty() && guest.iter().map(|d| &d.instance).ne(here.iter().map(|one| &one.instance)) {
        reasons.push("the guest's devices are in another order than this build's".into());
    }
    reasons
}

/// Why a guest that has `device` cannot do with queues of the sizes `here`. Larger ones do: the guest's driver knows how many
/// entries it has.
fn queues_differ(device: &DeviceShape, here: &[u16]) -> Option<String> {
    let (instance, there) = (&device.instance, &device.queue_sizes);
    let QueueOptions { number, size } = DeviceSet::queue_options(&device.kind);
    let advice = |option: Option<&str>, must: &str| {
        option.map_or(String::new(), |option| format!("; {option} must be {must}"))
    };
    if there.len() != here.len() {
        let (guest, own) = (there.len(), here.len());
        let advice = advice(number, "the same on both sides");
        return Some(format!("the guest's '{instance}' has {guest} queues, here it has {own}{advice}"));
    }
    let (queue, (guest, own)) = there.iter().zip(here).enumerate().find(|(_, (there, here))| there > here)?;
    let advice = advice(size, "as large on this side");
    Some(format!(
        "queue {queue} of the guest's '{instance}' has up to {guest} entries, here up to {own}{advice}"
    ))
}

fn cpu_reasons(cpus: &CpuShape, reasons: &mut Vec<String>) -> Result<(), KvmError> {
    let kvm = kvm::open()?;
    let host = host::probed()?;
    if usize::from(cpus.count) > host.max_vcpus {
        let (wanted, here) = (cpus.count, host.max_vcpus);
        reasons.push(format!("the guest has {wanted} vCPUs, this host's KVM makes at most {here}"));
    }
    if cpus.xsave_bytes as usize > host.cpu.xsave_bytes {
        let (wanted, here) = (cpus.xsave_bytes, host.cpu.xsave_bytes);
        reasons.push(format!("the guest's XSAVE area has {wanted} bytes, this host's has {here}"));
    }
    reasons.extend(tsc_reason(host, cpus.tsc_khz));
    let foreign = cpus.msrs.iter().filter(|index| !host.msrs.contains(index));
    let foreign: Vec<_> = foreign.map(|index| format!("{index:#x}")).collect();
    if !foreign.is_empty() {
        reasons.push(format!("this host's KVM cannot set the guest's MSRs {}", foreign.join(", ")));
    }
    match offered(&kvm, host.tsc_khz, cpus.count) {
        Ok(offered) => reasons.extend(features::missing(&cpus.cpuid, &offered)),
        Err(error) => reasons.push(error),
    }
    Ok(())
}

fn tsc_reason(host: &Host, guest_khz: u32) -> Option<String> {
    let here_khz = host.tsc_khz;
    let apart = u64::from(guest_khz.abs_diff(here_khz));
    let same = apart * 1_000_000 <= u64::from(here_khz) * TSC_TOLERANCE_PPM;
    (guest_khz != 0 && !same && !host.tsc_scaling).then(|| {
        format!("the guest's TSC runs at {guest_khz} kHz, this host's at {here_khz} kHz, and its CPU cannot scale it")
    })
}

/// CPUID that vCPU 0 of `count` would have in a machine of this build on this host.
fn offered(kvm: &Kvm, tsc_khz: u32, count: u8) -> Result<Vec<CpuidEntry>, String> {
    let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
    let supported =
        supported.map_err(|errno| HostError::of(KvmError::call("KVM_GET_SUPPORTED_CPUID")(errno)).0)?;
    let offers = MachineFeatures { tsc_deadline_timer: true, tsc_khz: Some(tsc_khz) };
    let machine = cpuid::for_machine(&supported, offers).map_err(|e| e.to_string())?;
    let first = cpuid::for_vcpu(&machine, 0, count).map_err(|e| e.to_string())?;
    Ok(first.as_slice().iter().map(shape_entry).collect())
}
