//! Pages go in and come out by number, across the hole; zeros cost nothing; what was touched is known.

use std::sync::atomic::Ordering;

use godwit_migration::{
    host::{PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
    shape::{MemoryShape, Region},
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress};

use super::{GuestPages, allocate, shape, shape_of};
use crate::boot::GuestMemory;

const MIB: u64 = 1 << 20;

/// Two small regions around the hole, so that nothing needs 3 GiB.
fn memory() -> GuestMemory {
    let regions = vec![Region { gpa: 0, bytes: 4 * MIB }, Region { gpa: 4 << 30, bytes: 2 * MIB }];
    allocate(&MemoryShape { regions }).unwrap()
}

fn touched(pages: &GuestPages) -> PageSet {
    let mut set = PageSet::empty(PageSource::pages(pages));
    pages.touched(&mut set).unwrap();
    set
}

#[test]
fn memory_goes_around_the_hole() {
    assert_eq!(shape(128 * MIB).regions, [Region { gpa: 0, bytes: 128 * MIB }]);
    assert_eq!(
        shape(5 << 30).regions,
        [Region { gpa: 0, bytes: 3 << 30 }, Region { gpa: 4 << 30, bytes: 2 << 30 }]
    );
    assert_eq!(shape_of(&memory()).bytes(), 6 * MIB);
}

#[test]
fn regions_of_any_length_begin_where_kvm_can_map_huge_pages() {
    let lengths = [1, 3, 5, 2, 7, 4].map(|pieces| pieces * 3 * MIB / 4);
    let memories = lengths.map(|bytes| {
        let regions = vec![Region { gpa: 0, bytes }, Region { gpa: 4 << 30, bytes: bytes + MIB }];
        allocate(&MemoryShape { regions }).unwrap()
    });
    for region in memories.iter().flat_map(GuestMemory::iter) {
        let address = region.get_host_address(MemoryRegionAddress(0)).unwrap().addr() as u64;
        assert_eq!(address % (2 * MIB), region.start_addr().0 % (2 * MIB), "{address:#x}");
    }
}

#[test]
fn a_page_put_is_read_back_and_is_where_its_number_says() {
    let memory = memory();
    let pages = GuestPages::new(&memory);
    assert_eq!(PageSource::pages(&pages), 1536);
    for page in [0, 1023, 1024, 1535] {
        pages.put(page, &[page as u8; PAGE_BYTES]).unwrap();
        let mut back = [0; PAGE_BYTES];
        pages.read(page, &mut back);
        assert_eq!(back, [page as u8; PAGE_BYTES]);
    }
    let above: u8 = memory.read_obj(GuestAddress((4 << 30) + 511 * 4096)).unwrap();
    assert_eq!(above, 1535_u32 as u8);
}

#[test]
fn a_page_put_is_not_marked_as_written_by_the_vmm() {
    let memory = memory();
    GuestPages::new(&memory).put(5, &[1; PAGE_BYTES]).unwrap();
    assert!(memory.iter().all(|r| r.get_mmap().bitmap().get_and_reset().iter().all(|&w| w == 0)));
    memory.write_obj(1_u8, GuestAddress(5 * 4096)).unwrap();
    assert_eq!(memory.iter().next().unwrap().get_mmap().bitmap().get_and_reset()[0], 1 << 5);
}

#[test]
fn zeros_overwrite_what_was_put_and_leave_fresh_memory_untouched() {
    let pages = GuestPages::new(&memory());
    for page in 0..1536 {
        pages.put_zero(page).unwrap();
    }
    assert!(touched(&pages).is_empty());
    pages.put(700, &[7; PAGE_BYTES]).unwrap();
    pages.put_zero(700).unwrap();
    let mut back = [1; PAGE_BYTES];
    pages.read(700, &mut back);
    assert_eq!(back, [0; PAGE_BYTES]);
}

#[test]
fn a_place_is_the_memory_of_its_pages_and_counts_as_put() {
    let memory = memory();
    let pages = GuestPages::new(&memory);
    let place = pages.place(1022..1024).unwrap();
    assert_eq!(place.len(), 2 * PAGE_BYTES);
    place[PAGE_BYTES].store(7, Ordering::Relaxed);
    assert_eq!(memory.read_obj::<u8>(GuestAddress(1023 * 4096)).unwrap(), 7);
    let mut back = [1; PAGE_BYTES];
    pages.put_zero(1023).unwrap();
    pages.read(1023, &mut back);
    assert_eq!(back, [0; PAGE_BYTES]);
    assert!(memory.iter().all(|r| r.get_mmap().bitmap().get_and_reset().iter().all(|&w| w == 0)));
}

#[test]
fn pages_on_both_sides_of_a_hole_are_no_one_place() {
    let pages = GuestPages::new(&memory());
    assert!(pages.place(1023..1025).is_none());
    assert!(pages.place(1024..1536).is_some());
}

#[test]
fn touched_pages_are_found_in_both_regions() {
    let pages = GuestPages::new(&memory());
    assert!(touched(&pages).is_empty());
    pages.put(3, &[1; PAGE_BYTES]).unwrap();
    pages.put(1535, &[1; PAGE_BYTES]).unwrap();
    let set = touched(&pages);
    assert!(set.contains(3) && set.contains(1535));
    // A huge page may have come whole, but never one that nobody was near.
    assert!(!set.contains(1000));
}

#[test]
fn addresses_become_numbers_of_whole_pages_across_the_hole() {
    let memory = memory();
    let pages = GuestPages::new(&memory);
    let numbers = |addresses| {
        let mut set = PageSet::empty(PageSource::pages(&pages));
        pages.add_numbers(addresses, &mut set);
        set.iter().collect::<Vec<_>>()
    };
    assert_eq!(numbers(0x1000..0x3000), [1, 2]);
    assert_eq!(numbers(0x1001..0x3fff), [2], "only whole pages");
    assert!(numbers(0x1001..0x1fff).is_empty());
    // The last page below the hole, and the first above it.
    assert_eq!(numbers(4 * MIB - 0x1000..(4 << 30) + 0x1000), [1023, 1024]);
    assert!(numbers(4 * MIB..4 << 30).is_empty(), "the hole");
    assert_eq!(numbers((4 << 30) + 2 * MIB - 0x1000..u64::MAX), [1535]);
}
