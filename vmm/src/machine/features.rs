//! CPU features that a guest uses and a host lacks, by name. Pure.
//!
//! Only leaves whose bits are features are compared: the other leaves describe (names, sizes, topology) and may
//! differ between two hosts that can exchange guests. Bit positions: Intel SDM volume 2A, CPUID; AMD APM volume 3,
//! appendix E; Linux, virt/kvm/x86/cpuid.rst for 0x40000001.

use godwit_migration::shape::CpuidEntry;

/// Registers of an entry, by their place in [`CpuidEntry::registers`].
const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;
const REGISTER_NAMES: [&str; 4] = ["EAX", "EBX", "ECX", "EDX"];

/// Leaf, subleaf and register whose bits are features, with those that KVM sets from the guest's own registers.
const FEATURE_REGISTERS: [(u32, u32, usize, u32); 16] = [
    (0x1, 0, ECX, 1 << 27),
    (0x1, 0, EDX, 0),
    (0x6, 0, EAX, 0),
    (0x7, 0, EBX, 0),
    (0x7, 0, ECX, 1 << 4),
    (0x7, 0, EDX, 0),
    (0x7, 1, EAX, 0),
    (0x7, 1, EDX, 0),
    (0xd, 0, EAX, 0),
    (0xd, 0, EDX, 0),
    (0xd, 1, EAX, 0),
    (0x4000_0001, 0, EAX, 0),
    (0x8000_0001, 0, ECX, 0),
    (0x8000_0001, 0, EDX, 0),
    (0x8000_0008, 0, EBX, 0),
    (0x8000_0021, 0, EAX, 0),
];

/// Names of features that differ between hosts in practice; the others are told by their bit.
const NAMES: [(u32, u32, usize, u32, &str); 60] = [
    (0x1, 0, ECX, 0, "sse3"),
    (0x1, 0, ECX, 1, "pclmulqdq"),
    (0x1, 0, ECX, 5, "vmx"),
    (0x1, 0, ECX, 9, "ssse3"),
    (0x1, 0, ECX, 12, "fma"),
    (0x1, 0, ECX, 13, "cx16"),
    (0x1, 0, ECX, 17, "pcid"),
    (0x1, 0, ECX, 19, "sse4_1"),
    (0x1, 0, ECX, 20, "sse4_2"),
    (0x1, 0, ECX, 21, "x2apic"),
    (0x1, 0, ECX, 22, "movbe"),
    (0x1, 0, ECX, 23, "popcnt"),
    (0x1, 0, ECX, 24, "tsc_deadline_timer"),
    (0x1, 0, ECX, 25, "aes"),
    (0x1, 0, ECX, 26, "xsave"),
    (0x1, 0, ECX, 28, "avx"),
    (0x1, 0, ECX, 29, "f16c"),
    (0x1, 0, ECX, 30, "rdrand"),
    (0x7, 0, EBX, 0, "fsgsbase"),
    (0x7, 0, EBX, 1, "tsc_adjust"),
    (0x7, 0, EBX, 3, "bmi1"),
    (0x7, 0, EBX, 4, "hle"),
    (0x7, 0, EBX, 5, "avx2"),
    (0x7, 0, EBX, 7, "smep"),
    (0x7, 0, EBX, 8, "bmi2"),
    (0x7, 0, EBX, 9, "erms"),
    (0x7, 0, EBX, 10, "invpcid"),
    (0x7, 0, EBX, 11, "rtm"),
    (0x7, 0, EBX, 16, "avx512f"),
    (0x7, 0, EBX, 17, "avx512dq"),
    (0x7, 0, EBX, 18, "rdseed"),
    (0x7, 0, EBX, 19, "adx"),
    (0x7, 0, EBX, 20, "smap"),
    (0x7, 0, EBX, 21, "avx512ifma"),
    (0x7, 0, EBX, 23, "clflushopt"),
    (0x7, 0, EBX, 24, "clwb"),
    (0x7, 0, EBX, 28, "avx512cd"),
    (0x7, 0, EBX, 29, "sha_ni"),
    (0x7, 0, EBX, 30, "avx512bw"),
    (0x7, 0, EBX, 31, "avx512vl"),
    (0x7, 0, ECX, 1, "avx512vbmi"),
    (0x7, 0, ECX, 2, "umip"),
    (0x7, 0, ECX, 3, "pku"),
    (0x7, 0, ECX, 6, "avx512_vbmi2"),
    (0x7, 0, ECX, 8, "gfni"),
    (0x7, 0, ECX, 9, "vaes"),
    (0x7, 0, ECX, 10, "vpclmulqdq"),
    (0x7, 0, ECX, 11, "avx512_vnni"),
    (0x7, 0, ECX, 16, "la57"),
    (0x7, 0, ECX, 22, "rdpid"),
    (0x7, 0, EDX, 24, "amx_tile"),
    (0x7, 0, EDX, 26, "spec_ctrl"),
    (0x7, 0, EDX, 29, "arch_capabilities"),
    (0x7, 1, EAX, 4, "avx_vnni"),
    (0xd, 1, EAX, 3, "xsaves"),
    (0x8000_0001, 0, ECX, 2, "svm"),
    (0x8000_0001, 0, ECX, 6, "sse4a"),
    (0x8000_0001, 0, EDX, 26, "pdpe1gb"),
    (0x8000_0001, 0, EDX, 27, "rdtscp"),
    (0x8000_0008, 0, EBX, 12, "ibpb"),
];

/// A sentence for each feature that `guest` shows and `host` does not offer.
pub(super) fn missing(guest: &[CpuidEntry], host: &[CpuidEntry]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (function, index, register, dynamic) in FEATURE_REGISTERS {
        let bits = |entries: &[CpuidEntry]| {
            let entry = entries.iter().find(|e| e.function == function && e.index == index);
            entry.map_or(0, |e| e.registers[register])
        };
        let lost = bits(guest) & !bits(host) & !dynamic;
        sentences.extend((0..32).filter(|bit| lost >> bit & 1 == 1).map(|bit| {
            let place =
                format!("leaf {function:#x}, subleaf {index}, {} bit {bit}", REGISTER_NAMES[register]);
            match NAMES.iter().find(|n| (n.0, n.1, n.2, n.3) == (function, index, register, bit)) {
                Some((.., name)) => format!("CPU feature {name} (CPUID {place}) is missing here"),
                None => format!("a CPU feature without a name (CPUID {place}) is missing here"),
            }
        }));
    }
    sentences
}
