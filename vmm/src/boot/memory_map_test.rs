//! The guest is told of all its memory except what it must leave alone.

use vm_memory::GuestAddress;

use super::GuestMemory;
use super::memory_map::{Kind, low_memory_end, of};
use super::samples::{MIB, memory};

const GIB: usize = 1 << 30;

fn map(memory: &GuestMemory) -> Vec<(u64, u64, Kind)> {
    of(memory).into_iter().map(|e| (e.start, e.start + e.size, e.kind)).collect()
}

#[test]
fn a_small_guest_has_memory_around_the_reserved_areas() {
    assert_eq!(
        map(&memory(32 * MIB)),
        [
            (0, 0x9_fc00, Kind::Ram),
            (0x9_fc00, 0xa_0000, Kind::Reserved),
            (0xe_0000, 0x10_0000, Kind::Reserved),
            (0x10_0000, 0x200_0000, Kind::Ram),
        ]
    );
}

#[test]
fn a_guest_of_4_gib_has_the_fourth_above_the_hole() {
    let memory =
        GuestMemory::from_ranges(&[(GuestAddress(0), 3 * GIB), (GuestAddress(4 * GIB as u64), GIB)]).unwrap();
    let map = map(&memory);
    assert_eq!(map[3..], [(0x10_0000, 0xc000_0000, Kind::Ram), (0x1_0000_0000, 0x1_4000_0000, Kind::Ram),]);
    assert_eq!(low_memory_end(&memory), 0xc000_0000);
}

#[test]
fn low_memory_ends_at_the_hole_at_the_latest() {
    let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 3 * GIB + MIB)]).unwrap();
    assert_eq!(low_memory_end(&memory), 0xc000_0000);
}

#[test]
fn slots_that_follow_each_other_are_one_low_memory() {
    let memory = GuestMemory::from_ranges(&[
        (GuestAddress(0), 16 * MIB),
        (GuestAddress(16 * MIB as u64), 16 * MIB),
        (GuestAddress(64 * MIB as u64), 16 * MIB),
    ])
    .unwrap();
    assert_eq!(low_memory_end(&memory), 32 * MIB as u64);
}

#[test]
fn memory_below_1_mib_only_gives_a_map_without_panic() {
    assert_eq!(map(&memory(4096)), [(0, 4096, Kind::Ram)]);
}
