//! A missing feature is named; descriptions and bits that the guest itself switches are not features.

use godwit_migration::shape::CpuidEntry;

use super::features::missing;

fn entry(function: u32, registers: [u32; 4]) -> CpuidEntry {
    CpuidEntry { function, index: 0, flags: 0, registers }
}

#[test]
fn a_missing_feature_is_named_with_its_place() {
    let guest = [entry(7, [0, 1 << 16 | 1 << 5, 0, 0])];
    let host = [entry(7, [0, 1 << 5, 0, 0])];
    assert_eq!(
        missing(&guest, &host),
        ["CPU feature avx512f (CPUID leaf 0x7, subleaf 0, EBX bit 16) is missing here"]
    );
    assert!(missing(&host, &guest).is_empty());
}

#[test]
fn a_leaf_that_the_host_lacks_misses_all_its_features() {
    let guest = [entry(0x4000_0001, [0b1001, 0, 0, 0])];
    assert_eq!(missing(&guest, &[]).len(), 2);
}

#[test]
fn descriptions_and_bits_of_the_guests_own_making_are_not_compared() {
    let guest = [entry(0, [0xd, 1, 2, 3]), entry(1, [0x1234, 0x5678, 1 << 27, 0]), entry(0xb, [9, 9, 9, 9])];
    assert!(missing(&guest, &[]).is_empty());
}
