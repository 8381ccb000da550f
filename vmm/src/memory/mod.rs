//! Guest memory: anonymous mappings around the hole below 4 GiB, and their pages as the migration engine numbers
//! them.
//!
//! It never looks at what the guest keeps in its memory. Neighbours: `crate::dirty` makes slots of the regions;
//! boot and the devices write through vm-memory, which marks what they write; the lanes use [`GuestPages`].

mod pages;
#[cfg(test)]
mod pages_test;
mod sys;
mod touched;

use godwit_migration::shape::{MemoryShape, Region};
use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap,
    bitmap::{AtomicBitmap, NewBitmap},
    mmap::{MmapRegion, MmapRegionBuilder, MmapRegionError},
};

use crate::{
    boot::{GuestMemory, layout},
    error::MachineError,
};

pub use pages::GuestPages;

/// Places that are tried in vain for a region: there may be other holes of its length, and other threads that map.
const MOST_MISPLACED: usize = 16;

/// From here on, this process's core dumps have the memory of guests.
pub(crate) fn keep_in_dumps() {
    sys::IN_DUMPS.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// The regions of a guest with `bytes` of memory: below the hole first, what is left above 4 GiB.
pub(crate) fn shape(bytes: u64) -> MemoryShape {
    let low = bytes.min(layout::MMIO_HOLE_START);
    let mut regions = vec![Region { gpa: 0, bytes: low }];
    if bytes > low {
        regions.push(Region { gpa: layout::MMIO_HOLE_END, bytes: bytes - low });
    }
    MemoryShape { regions }
}

/// Makes memory of that shape. Nothing of it is populated.
pub(crate) fn allocate(shape: &MemoryShape) -> Result<GuestMemory, MachineError> {
    let mut regions = Vec::with_capacity(shape.regions.len());
    for region in &shape.regions {
        let failed = |source| MachineError::Memory { bytes: shape.bytes(), source };
        let length = usize::try_from(region.bytes)
            .map_err(|_| failed(std::io::Error::from(std::io::ErrorKind::OutOfMemory)))?;
        let mapping = map(length).map_err(|e| failed(std::io::Error::other(e)))?;
        sys::advise(&mapping);
        let placed = GuestRegionMmap::new(mapping, GuestAddress(region.gpa));
        regions.push(
            placed.ok_or_else(|| MachineError::Shape(format!("no memory can be at {:#x}", region.gpa)))?,
        );
    }
    GuestMemory::from_regions(regions).map_err(|e| MachineError::Shape(e.to_string()))
}

/// A mapping that begins at a multiple of a huge page where that can be had. KVM maps a region to its guest by huge pages only
/// where it lies within them as it does in the guest, whose regions begin so; else each 4 KiB that the guest comes to is a
/// fault of its own, all over again at the target of a move. Kernels before 6.7 put a mapping at any page.
fn map(length: usize) -> Result<MmapRegion<AtomicBitmap>, MmapRegionError> {
    // What lies elsewhere keeps its place meanwhile, so that this is not given out again.
    let mut misplaced = Vec::new();
    loop {
        let kept = sys::hole(length);
        let mapping = MmapRegionBuilder::new_with_bitmap(length, AtomicBitmap::with_len(length))
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE)
            .build()?;
        drop(kept);
        let is_aligned = mapping.as_ptr().addr().is_multiple_of(sys::HUGE_PAGE_BYTES);
        if is_aligned || misplaced.len() == MOST_MISPLACED {
            return Ok(mapping);
        }
        misplaced.push(mapping);
    }
}

/// The regions that `memory` has.
pub(crate) fn shape_of(memory: &GuestMemory) -> MemoryShape {
    let regions = memory.iter().map(|r| Region { gpa: r.start_addr().0, bytes: r.len() }).collect();
    MemoryShape { regions }
}
