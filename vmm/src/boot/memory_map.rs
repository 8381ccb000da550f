//! Which of the guest's addresses are memory it may use: the map that both entry protocols hand over.
//!
//! Derived from the memory that the machine made, never decided here. Neighbours: `zero_page` and `pvh` encode it.

use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::GuestMemory;
use super::layout::{ACPI, EBDA, HIGH_MEMORY_START, MMIO_HOLE_START};

/// What a range is. The numbers are the same in e820 and in PVH's memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// Memory that the guest may use.
    Ram = 1,
    /// Memory that the guest must leave alone.
    Reserved = 2,
}

/// One entry of the map; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub start: u64,
    pub size: u64,
    pub kind: Kind,
}

/// The map of `memory`, ascending: memory below the EBDA, the EBDA, the ACPI tables, memory from 1 MiB to the hole,
/// memory from 4 GiB.
pub(super) fn of(memory: &GuestMemory) -> Vec<Entry> {
    let mut map = Vec::new();
    for region in memory.iter() {
        let (start, end) = (region.start_addr().raw_value(), region.start_addr().raw_value() + region.len());
        for (from, to, kind) in [
            (0, EBDA.start, Kind::Ram),
            (EBDA.start, EBDA.end, Kind::Reserved),
            (ACPI.start, ACPI.end, Kind::Reserved),
            (HIGH_MEMORY_START, u64::MAX, Kind::Ram),
        ] {
            let (from, to) = (start.max(from), end.min(to));
            if from < to {
                map.push(Entry { start: from, size: to - from, kind });
            }
        }
    }
    map
}

/// End of the memory that is contiguous from address 0 and below the MMIO hole: where kernel and initrd must fit.
pub(super) fn low_memory_end(memory: &GuestMemory) -> u64 {
    let mut end = 0;
    for region in memory.iter() {
        if region.start_addr().raw_value() != end {
            break;
        }
        end += region.len();
    }
    end.min(MMIO_HOLE_START)
}
