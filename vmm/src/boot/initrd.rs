//! The initial RAM disk: at the top of low memory, where no kernel's own early allocations begin.

use std::path::Path;

use vm_memory::{Bytes, GuestAddress};

use super::image::Image;
use super::{BootError, GuestMemory, Loaded, Role, memory_map};

/// An initrd is placed at a multiple of this.
const ALIGNMENT: u64 = 4096;

/// Where a loaded initrd is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Initrd {
    /// Guest-physical address, a multiple of 4 KiB and below 3 GiB.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// Loads the file at `path` beside `kernel`.
pub(super) fn load(memory: &GuestMemory, path: &Path, kernel: &Loaded) -> Result<Initrd, BootError> {
    let mut image = Image::open(Role::Initrd, path)?;
    let (floor, top) = room(memory, kernel);
    let too_large = || BootError::InitrdTooLarge {
        name: image.name.clone(),
        length: image.length,
        room: top.saturating_sub(floor),
    };
    let start = top.checked_sub(image.length).ok_or_else(too_large)? / ALIGNMENT * ALIGNMENT;
    if start < floor {
        return Err(too_large());
    }
    let size = image.length;
    memory
        .read_exact_volatile_from(GuestAddress(start), &mut image.source, size as usize)
        .map_err(|e| image.unreadable(Role::Initrd, &e))?;
    Ok(Initrd { start, size })
}

/// What the kernel leaves free: from its end to the end of low memory, or to the kernel's own limit.
fn room(memory: &GuestMemory, kernel: &Loaded) -> (u64, u64) {
    let limit = kernel.header.map_or(u64::MAX, |h| u64::from(h.initrd_addr_max) + 1);
    let top = memory_map::low_memory_end(memory).min(limit) / ALIGNMENT * ALIGNMENT;
    (kernel.end.next_multiple_of(ALIGNMENT), top)
}
