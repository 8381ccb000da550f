//! The boot CPU starts as the protocols say: tiny kernels tell what they found, on a real vCPU.

use kvm_bindings::{kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::layout::{KVM_IDENTITY_MAP, KVM_TSS};
use super::registers::descriptor;
use super::samples::{ELF_LOAD, MIB, boot, elf, memory};
use super::{Entry, GuestMemory};

/// Port that the kernels here write what they found to.
const PORT: u16 = 0x80;

/// 32-bit: the magic number at ebx goes to the port, then a flat data access above 1 MiB, then hlt.
const PVH_CODE: &[u8] = &[
    0x8b, 0x03, // mov eax, [ebx]
    0xe7, 0x80, // out 0x80, eax
    0x8c, 0xd8, // mov eax, ds
    0xe7, 0x80, // out 0x80, eax
    0xf4, // hlt
];

/// 64-bit: the header magic of the zero page at rsi goes to the port, then the code segment, then hlt.
const LINUX_CODE: &[u8] = &[
    0x8b, 0x86, 0x02, 0x02, 0x00, 0x00, // mov eax, [rsi + 0x202]
    0xe7, 0x80, // out 0x80, eax
    0x48, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, // mov rax, 1 << 32
    0x48, 0xc1, 0xe8, 0x20, // shr rax, 32
    0xe7, 0x80, // out 0x80, eax
    0x8c, 0xc8, // mov eax, cs
    0xe7, 0x80, // out 0x80, eax
    0xf4, // hlt
];

/// A machine without devices: everything it owns must outlive the vCPU's run.
struct Bench {
    vcpu: VcpuFd,
    _vm: VmFd,
    _memory: GuestMemory,
}

/// Boots `kernel` as far as the registers.
fn bench(kernel: &[u8]) -> (Bench, Entry) {
    let kvm = Kvm::new().expect("these tests need /dev/kvm");
    let vm = kvm.create_vm().unwrap();
    vm.set_identity_map_address(KVM_IDENTITY_MAP).unwrap();
    vm.set_tss_address(KVM_TSS as usize).unwrap();
    let memory = memory(4 * MIB);
    for (slot, region) in memory.iter().enumerate() {
        let described = kvm_userspace_memory_region {
            slot: slot as u32,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: memory.get_host_address(region.start_addr()).unwrap() as u64,
            flags: 0,
        };
        // SAFETY: the mapping lives in `Bench` beside the VM, and is unmapped after it.
        unsafe { vm.set_user_memory_region(described) }.unwrap();
    }
    let vcpu = vm.create_vcpu(0).unwrap();
    let supported = kvm.get_supported_cpuid(kvm_bindings::KVM_MAX_CPUID_ENTRIES).unwrap();
    vcpu.set_cpuid2(&crate::cpuid::for_vcpu(&supported, 0, 1).unwrap()).unwrap();
    let entry = boot(&memory, kernel).unwrap();
    entry.apply(&vcpu, &memory).unwrap();
    (Bench { vcpu, _vm: vm, _memory: memory }, entry)
}

/// What the guest wrote to the port until it halted.
fn run(bench: &mut Bench) -> Vec<u32> {
    let mut seen = Vec::new();
    loop {
        match bench.vcpu.run().unwrap() {
            VcpuExit::IoOut(PORT, data) => seen.push(u32::from_le_bytes(data.try_into().unwrap())),
            VcpuExit::Hlt => return seen,
            other => panic!("unexpected exit {other:?} after {seen:x?}"),
        }
    }
}

#[test]
fn pvh_starts_in_flat_32_bit_mode_with_the_start_info() {
    let (mut bench, entry) = bench(&elf(PVH_CODE, Some(ELF_LOAD as u32)));
    assert!(matches!(entry, Entry::Pvh { .. }));
    let sregs = bench.vcpu.get_sregs().unwrap();
    assert_eq!((sregs.cr0 & 0x8000_0001, sregs.cr4, sregs.efer), (1, 0, 0));
    assert_eq!(run(&mut bench), [0x336e_c578, 0x18]);
}

#[test]
fn linux_starts_in_long_mode_with_the_zero_page() {
    let (mut bench, entry) = bench(&elf(LINUX_CODE, None));
    assert!(matches!(entry, Entry::Linux64 { .. }));
    for address in [0, 0x7000, 1 << 30, (4 << 30) - 4096] {
        let mapped = bench.vcpu.translate_gva(address).unwrap();
        assert_eq!((mapped.valid, mapped.physical_address), (1, address), "{address:#x}");
    }
    assert_eq!(bench.vcpu.translate_gva(4 << 30).unwrap().valid, 0);
    assert_eq!(run(&mut bench), [u32::from_le_bytes(*b"HdrS"), 1, 0x10]);
}

#[test]
fn a_descriptor_is_encoded_as_the_manual_says() {
    let code = kvm_segment {
        base: 0x1234_5678,
        limit: 0xffff_ffff,
        type_: 0xb,
        s: 1,
        present: 1,
        db: 1,
        g: 1,
        ..Default::default()
    };
    assert_eq!(descriptor(&code), 0x12cf_9b34_5678_ffff);
}
