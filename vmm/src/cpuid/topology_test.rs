//! Each vCPU has its own identity, and all leaves tell the same topology.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::Kvm;

use super::leaf::{entry, sub_entry};
use super::{CpuidError, MachineFeatures, for_machine, for_vcpu};

const COUNTS: [u8; 4] = [1, 2, 3, 16];

fn intel() -> CpuId {
    CpuId::from_entries(&[
        entry(0, [0x1f, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
        entry(1, [0x0008_06f8, 0x5a40_0800, 0, 0xffff_ffff]),
        sub_entry(4, 0, [0xfc00_4121, 0x01c0_003f, 0x3f, 0]),
        sub_entry(4, 1, [0xfc00_4143, 0x03c0_003f, 0x3ff, 0]),
        sub_entry(4, 2, [0xfc1f_c163, 0x03c0_003f, 0x7fff, 0]),
        sub_entry(4, 3, [0, 0, 0, 0]),
        sub_entry(0xb, 0, [1, 2, 0x100, 77]),
        sub_entry(0xb, 1, [7, 96, 0x201, 77]),
        entry(0x8000_0001, [0, 0, 0x121, 0]),
        entry(0x8000_0008, [0x3034, 0, 0, 0]),
    ])
    .unwrap()
}

fn amd() -> CpuId {
    CpuId::from_entries(&[
        entry(0, [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
        entry(1, [0x00a0_0f11, 0x4d40_0800, 0, 0x078b_fbff]),
        sub_entry(0xb, 0, [0, 0, 0, 0x4d]),
        entry(0x8000_0001, [0, 0, 0x0040_0393, 0]),
        entry(0x8000_0008, [0x3030, 0x1000_0005, 0x7f5f, 0x1_0000]),
        sub_entry(0x8000_001d, 0, [0x0000_4121, 0x01c0_003f, 0x3f, 0]),
        sub_entry(0x8000_001d, 3, [0x0003_c163, 0x03c0_003f, 0x7fff, 1]),
        entry(0x8000_001e, [0x4d, 0x126, 0x200, 0]),
    ])
    .unwrap()
}

fn sub(cpuid: &CpuId, function: u32, index: u32) -> kvm_cpuid_entry2 {
    let found = cpuid.as_slice().iter().find(|e| e.function == function && e.index == index);
    *found.unwrap_or_else(|| panic!("no leaf {function:#x}.{index}"))
}

#[test]
fn the_apic_id_is_the_same_in_every_leaf() {
    for count in COUNTS {
        for id in 0..count {
            let number = u32::from(id);
            let (intel, amd) = (for_vcpu(&intel(), id, count).unwrap(), for_vcpu(&amd(), id, count).unwrap());
            for cpuid in [&intel, &amd] {
                assert_eq!(sub(cpuid, 1, 0).ebx >> 24, number);
                for level in 0..3 {
                    assert_eq!(sub(cpuid, 0xb, level).edx, number);
                }
            }
            assert_eq!(sub(&intel, 0x1f, 1).edx, number);
            let place = sub(&amd, 0x8000_001e, 0);
            assert_eq!((place.eax, place.ebx & 0xff), (number, number));
        }
    }
}

#[test]
fn the_number_of_cores_is_the_same_in_every_leaf() {
    for (count, bits) in [(1, 0), (2, 1), (3, 2), (16, 4)] {
        let (intel, amd) = (for_vcpu(&intel(), 0, count).unwrap(), for_vcpu(&amd(), 0, count).unwrap());
        let number = u32::from(count);
        for cpuid in [&intel, &amd] {
            assert_eq!(sub(cpuid, 1, 0).ebx >> 16 & 0xff, 1 << bits, "ids in the package");
            assert_eq!(sub(cpuid, 1, 0).edx >> 28 & 1, u32::from(count > 1), "HTT");
            let (threads, cores) = (sub(cpuid, 0xb, 0), sub(cpuid, 0xb, 1));
            assert_eq!([threads.eax, threads.ebx, threads.ecx], [0, 1, 0x100]);
            assert_eq!([cores.eax, cores.ebx, cores.ecx], [bits, number, 0x201]);
            assert_eq!([sub(cpuid, 0xb, 2).ebx, sub(cpuid, 0xb, 2).ecx], [0, 2]);
        }
        assert_eq!(sub(&intel, 4, 0).eax >> 26, (1 << bits) - 1, "ids of cores");
        assert_eq!(sub(&amd, 0x8000_0008, 0).ecx, 0xf00 & 0x7f5f | bits << 12 | (number - 1));
        assert_eq!(sub(&amd, 0x8000_0001, 0).ecx >> 1 & 1, u32::from(count > 1), "CmpLegacy");
        assert_eq!(sub(&amd, 0x8000_001e, 0).ebx >> 8, 0, "one thread per core");
        assert_eq!(sub(&amd, 0x8000_001e, 0).ecx, 0, "one node");
    }
}

#[test]
fn the_last_level_cache_is_shared_and_the_others_are_not() {
    for (count, ids) in [(1, 1), (2, 2), (3, 4), (16, 16)] {
        let sharing = |leaf: kvm_cpuid_entry2| (leaf.eax >> 14 & 0xfff) + 1;
        let intel = for_vcpu(&intel(), 0, count).unwrap();
        assert_eq!([0, 1, 2].map(|n| sharing(sub(&intel, 4, n))), [1, 1, ids]);
        assert_eq!(sub(&intel, 4, 3).eax, 0, "the end of the list stays its end");
        let amd = for_vcpu(&amd(), 0, count).unwrap();
        assert_eq!([0, 3].map(|n| sharing(sub(&amd, 0x8000_001d, n))), [1, ids]);
    }
}

#[test]
fn leaves_beyond_the_highest_are_not_added() {
    let amd = for_vcpu(&amd(), 0, 2).unwrap();
    assert!(amd.as_slice().iter().all(|e| e.function != 0x1f));
}

#[test]
fn fields_of_amd_stay_clear_on_intel() {
    let intel = for_vcpu(&intel(), 0, 2).unwrap();
    assert_eq!(sub(&intel, 0x8000_0008, 0).ecx, 0, "number of cores");
    assert_eq!(sub(&intel, 0x8000_0001, 0).ecx, 0x121, "CmpLegacy");
}

#[test]
fn fields_that_are_not_topology_stay() {
    let amd = for_vcpu(&amd(), 1, 2).unwrap();
    assert_eq!(sub(&amd, 1, 0).ebx & 0xffff, 0x0800);
    assert_eq!(sub(&amd, 1, 0).edx | 1 << 28, 0x178b_fbff);
    assert_eq!(sub(&amd, 0x8000_0008, 0).eax, 0x3030);
}

#[test]
fn a_vcpu_that_is_not_there_is_refused() {
    for (id, count) in [(0, 0), (1, 1), (16, 16)] {
        assert!(matches!(for_vcpu(&amd(), id, count), Err(CpuidError::NoSuchVcpu { .. })), "{id} of {count}");
    }
}

#[test]
fn kvm_takes_what_is_made_of_its_own_list() {
    let kvm = Kvm::new().expect("this test needs /dev/kvm");
    let vm = kvm.create_vm().unwrap();
    let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).unwrap();
    let machine = for_machine(&supported, MachineFeatures { tsc_deadline_timer: true, tsc_khz: Some(1) });
    let machine = machine.unwrap();
    for id in 0..2 {
        let vcpu = vm.create_vcpu(u64::from(id)).unwrap();
        vcpu.set_cpuid2(&for_vcpu(&machine, id, 2).unwrap()).unwrap();
        let seen = vcpu.get_cpuid2(KVM_MAX_CPUID_ENTRIES).unwrap();
        assert_eq!(sub(&seen, 1, 0).ebx >> 24, u32::from(id));
    }
}
