//! A vCPU's identity and place: one package, `count` cores, one thread each, APIC ids counted from 0.
//!
//! The same is said in every leaf that some kernel reads: 1, 4, 0xb and 0x1f (Intel SDM volume 2A, CPUID), 0x80000001,
//! 0x80000008, 0x8000001d and 0x8000001e (AMD APM volume 3, appendix E).

use kvm_bindings::kvm_cpuid_entry2;

use super::{CpuidError, leaf};

// Leaf 1, EDX: more than one logical processor in the package.
const HTT: u32 = 1 << 28;
// Leaf 0x80000001, ECX: AMD's way to say that those are cores.
const CMP_LEGACY: u32 = 1 << 1;
/// Level types in leaves 0xb and 0x1f, at their place in ECX.
const LEVEL_THREAD: u32 = 1 << 8;
const LEVEL_CORE: u32 = 2 << 8;
/// First cache level that all cores share.
const SHARED_CACHE_LEVEL: u32 = 3;

/// Gives vCPU `id` of `count` its place.
pub(super) fn place(entries: &mut Vec<kvm_cpuid_entry2>, id: u8, count: u8) -> Result<(), CpuidError> {
    let (id, count) = (u32::from(id), u32::from(count));
    let is_amd = is_amd(leaf::required(entries, leaf::BASIC)?);
    place_basic(leaf::required(entries, leaf::FEATURES)?, id, count);
    for cache in leaf::all(entries, leaf::CACHES) {
        place_cache(cache, count);
        if cache_type(cache) != 0 {
            cache.eax = cache.eax & 0x03ff_ffff | (apic_ids(count) - 1) << 26;
        }
    }
    for entry in leaf::all(entries, leaf::EXTENDED_FEATURES) {
        entry.ecx &= !CMP_LEGACY;
        if is_amd && count > 1 {
            entry.ecx |= CMP_LEGACY;
        }
    }
    if is_amd {
        for sizes in leaf::all(entries, leaf::EXTENDED_SIZES) {
            sizes.ecx = sizes.ecx & !0xf0ff | apic_id_bits(count) << 12 | (count - 1);
        }
    }
    for cache in leaf::all(entries, leaf::EXTENDED_CACHES) {
        place_cache(cache, count);
    }
    for topology in leaf::all(entries, leaf::EXTENDED_TOPOLOGY) {
        // APIC id; core id with one thread; node 0 of one.
        (topology.eax, topology.ebx, topology.ecx, topology.edx) = (id, id, 0, 0);
    }
    place_levels(entries, id, count);
    Ok(())
}

fn is_amd(basic: &kvm_cpuid_entry2) -> bool {
    let vendor = [basic.ebx, basic.edx, basic.ecx].map(u32::to_le_bytes);
    matches!(vendor.as_flattened(), b"AuthenticAMD" | b"HygonGenuine")
}

fn place_basic(features: &mut kvm_cpuid_entry2, id: u32, count: u32) {
    features.ebx = features.ebx & 0xffff | apic_ids(count) << 16 | id << 24;
    features.edx &= !HTT;
    if count > 1 {
        features.edx |= HTT;
    }
}

/// How many share a cache: the package from the third level on, else nobody.
fn place_cache(cache: &mut kvm_cpuid_entry2, count: u32) {
    if cache_type(cache) == 0 {
        return;
    }
    let level = cache.eax >> 5 & 7;
    let sharing = if level >= SHARED_CACHE_LEVEL { apic_ids(count) } else { 1 };
    cache.eax = cache.eax & !(0xfff << 14) | (sharing - 1) << 14;
}

fn cache_type(cache: &kvm_cpuid_entry2) -> u32 {
    cache.eax & 0x1f
}

/// Replaces leaves 0xb and 0x1f, where the highest leaf reaches so far.
fn place_levels(entries: &mut Vec<kvm_cpuid_entry2>, id: u32, count: u32) {
    entries.retain(|e| !matches!(e.function, leaf::TOPOLOGY | leaf::TOPOLOGY_V2));
    let highest = leaf::all(entries, leaf::BASIC).next().map_or(0, |e| e.eax);
    for function in [leaf::TOPOLOGY, leaf::TOPOLOGY_V2] {
        if function <= highest {
            entries.extend([
                leaf::sub_entry(function, 0, [0, 1, LEVEL_THREAD, id]),
                leaf::sub_entry(function, 1, [apic_id_bits(count), count, LEVEL_CORE | 1, id]),
                leaf::sub_entry(function, 2, [0, 0, 2, id]),
            ]);
        }
    }
}

/// APIC ids that a package of `count` cores takes up: a power of two.
fn apic_ids(count: u32) -> u32 {
    count.next_power_of_two()
}

/// Bits of the APIC id that number the cores.
fn apic_id_bits(count: u32) -> u32 {
    apic_ids(count).trailing_zeros()
}
