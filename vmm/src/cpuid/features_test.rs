//! What a machine offers is KVM's list less what cannot be moved.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};

use super::leaf::{entry, sub_entry};
use super::{CpuidError, MachineFeatures, for_machine, for_vcpu};

const ALL: [u32; 4] = [u32::MAX; 4];

/// A host that has everything.
fn generous() -> CpuId {
    let signature = [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d];
    CpuId::from_entries(&[
        entry(0, [0x1f, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
        entry(1, ALL),
        entry(6, ALL),
        sub_entry(7, 0, ALL),
        entry(0xa, ALL),
        sub_entry(0xd, 0, [7, 0x340, 0x340, 0]),
        sub_entry(0x12, 0, ALL),
        sub_entry(0x14, 0, ALL),
        entry(0x4000_0000, signature),
        entry(0x4000_0001, [0x0100_7efb, 0, 0, 0]),
        entry(0x8000_0001, ALL),
        entry(0x8000_0007, ALL),
        entry(0x8000_0022, ALL),
    ])
    .unwrap()
}

fn get(cpuid: &CpuId, function: u32) -> kvm_cpuid_entry2 {
    *cpuid.as_slice().iter().find(|e| e.function == function).unwrap()
}

fn machine(offers: MachineFeatures) -> CpuId {
    for_machine(&generous(), offers).unwrap()
}

#[test]
fn a_guest_sees_a_hypervisor_and_no_debug_store() {
    let mut host = generous();
    host.as_mut_slice()[1].ecx = 0;
    let features = get(&for_machine(&host, MachineFeatures::default()).unwrap(), 1);
    assert_eq!(features.ecx, 1 << 31);
    assert_eq!(get(&machine(MachineFeatures::default()), 1).edx & 1 << 21, 0);
}

#[test]
fn the_deadline_timer_is_there_when_the_machine_offers_it_only() {
    let offered = MachineFeatures { tsc_deadline_timer: true, tsc_khz: None };
    assert_ne!(get(&machine(offered), 1).ecx & 1 << 24, 0);
    assert_eq!(get(&machine(MachineFeatures::default()), 1).ecx & 1 << 24, 0);
}

#[test]
fn bits_that_follow_the_guests_cr4_are_clear() {
    let cpuid = machine(MachineFeatures::default());
    assert_eq!(get(&cpuid, 1).ecx & 1 << 27, 0, "OSXSAVE");
    assert_eq!(get(&cpuid, 7).ecx & 1 << 4, 0, "OSPKE");
}

#[test]
fn what_cannot_be_moved_is_gone() {
    let cpuid = machine(MachineFeatures::default());
    for function in [0xa, 0x12, 0x14, 0x8000_0022] {
        assert!(cpuid.as_slice().iter().all(|e| e.function != function), "leaf {function:#x}");
    }
    assert_eq!(get(&cpuid, 7).ebx & (1 << 2 | 1 << 25), 0, "SGX, processor trace");
    assert_eq!(get(&cpuid, 0x8000_0007).edx & 1 << 8, 0, "invariant TSC");
    assert_eq!(get(&cpuid, 0x8000_0001).ecx & 1 << 23, 0, "performance counters");
    assert_eq!(get(&cpuid, 6).eax, 1 << 2, "only that the APIC timer always runs");
}

#[test]
fn what_is_not_named_is_left_as_kvm_gives_it() {
    let (host, cpuid) = (generous(), machine(MachineFeatures::default()));
    for function in [0, 0xd, 0x4000_0000, 0x4000_0001] {
        assert_eq!(get(&cpuid, function), get(&host, function), "leaf {function:#x}");
    }
}

#[test]
fn the_frequencies_are_told_in_the_hypervisors_leaves() {
    let cpuid = machine(MachineFeatures { tsc_deadline_timer: false, tsc_khz: Some(2_450_000) });
    let (signature, timing) = (get(&cpuid, 0x4000_0000), get(&cpuid, 0x4000_0010));
    assert_eq!(signature.eax, 0x4000_0010);
    assert_eq!(signature.ebx, 0x4b4d_564b);
    assert_eq!((timing.eax, timing.ebx), (2_450_000, 1_000_000));
}

#[test]
fn a_list_without_the_basic_leaves_is_refused() {
    let no_features = CpuId::from_entries(&[entry(0, [1, 0, 0, 0])]).unwrap();
    let error = for_machine(&no_features, MachineFeatures::default()).unwrap_err();
    assert!(matches!(error, CpuidError::MissingLeaf(1)));
    assert!(for_machine(&CpuId::from_entries(&[]).unwrap(), MachineFeatures::default()).is_err());
}

#[test]
fn leaves_of_zeros_take_no_room_in_the_list() {
    let mut host = generous().as_slice().to_vec();
    host.extend((0x20..0x28).map(|function| entry(function, [0; 4])));
    let cpuid = for_machine(&CpuId::from_entries(&host).unwrap(), MachineFeatures::default()).unwrap();
    assert_eq!(cpuid, machine(MachineFeatures::default()));
}

#[test]
fn a_list_beyond_the_limit_is_refused() {
    let mut host = generous().as_slice().to_vec();
    let free = KVM_MAX_CPUID_ENTRIES - host.len();
    host.extend((0..free as u32).map(|n| entry(0x100 + n, [1; 4])));
    let full = CpuId::from_entries(&host).unwrap();
    let error = for_vcpu(&full, 0, 2).unwrap_err();
    assert!(matches!(error, CpuidError::TooManyEntries(_)), "{error}");
}
