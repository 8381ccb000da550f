//! The configuration space of a disk (virtio 1.2 §5.2.4).

use super::{
    image::{Image, SECTOR_BYTES},
    work::{MAX_DISCARD_SECTORS, MAX_SEGMENTS, MAX_ZEROES_SECTORS},
};

/// Up to and with the fields of write-zeroes; what follows is for features that are not offered.
const SPACE_BYTES: usize = 60;
/// Descriptors of a request that are not data: its header and its status.
const NOT_DATA: u16 = 2;

/// Its bytes, for a disk over `image` with queues of these sizes.
pub fn of(image: &Image, queue_sizes: &[u16]) -> [u8; SPACE_BYTES] {
    let mut space = [0; SPACE_BYTES];
    let mut put = |offset: usize, bytes: &[u8]| space[offset..offset + bytes.len()].copy_from_slice(bytes);
    let size = queue_sizes.first().copied().unwrap_or_default();
    put(0, &image.sectors().to_le_bytes());
    put(12, &u32::from(size.saturating_sub(NOT_DATA)).to_le_bytes());
    put(20, &image.block_bytes().to_le_bytes());
    // At most MAX_DISK_QUEUES.
    put(34, &(queue_sizes.len() as u16).to_le_bytes());
    let block_sectors = image.block_bytes() / SECTOR_BYTES as u32;
    for (offset, value) in [
        (36, MAX_DISCARD_SECTORS),
        (40, MAX_SEGMENTS),
        (44, block_sectors),
        (48, MAX_ZEROES_SECTORS),
        (52, MAX_SEGMENTS),
    ] {
        put(offset, &value.to_le_bytes());
    }
    put(56, &[1]);
    space
}
