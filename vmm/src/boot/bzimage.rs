//! The bzImage: Linux's own boot protocol, entered at its 64-bit entry.
//!
//! Specification: Linux, Documentation/arch/x86/boot.rst. The header is checked here, field by field, since every
//! file is suspect; linux-loader then copies the kernel. Neighbours: `zero_page` hands the header on to the kernel.

use std::mem::size_of;

use linux_loader::bootparam::{XLF_KERNEL_64, setup_header};
use linux_loader::loader::{BzImage, KernelLoader};
use vm_memory::{ByteValued, GuestAddress};

use super::image::{Image, Source};
use super::layout::HIGH_MEMORY_START;
use super::{BootError, GuestMemory, Loaded, Protocol, Role};

/// Offset of the setup header in the file.
const HEADER_OFFSET: u64 = 0x1f1;
/// Offset of the byte that says how far the header reaches beyond offset 0x202.
const HEADER_END_OFFSET: u64 = 0x201;
/// Unit of `setup_sects`.
const SECTOR_BYTES: u64 = 512;
/// What 0 in `setup_sects` means.
const DEFAULT_SETUP_SECTORS: u8 = 4;
/// Unit of `syssize`.
const PARAGRAPH_BYTES: u64 = 16;
/// First protocol version that has `xloadflags`.
const VERSION_WITH_XLOADFLAGS: u16 = 0x020c;
/// `LOADED_HIGH` in `loadflags`: the kernel is loaded at 1 MiB or above.
const LOADED_HIGH: u8 = 1;
/// Where the 64-bit entry is in the loaded kernel.
const ENTRY_64_OFFSET: u64 = 0x200;

/// Checks and loads `image`, which has the magic number of a bzImage.
pub(super) fn load<S: Source>(memory: &GuestMemory, image: &mut Image<S>) -> Result<Loaded, BootError> {
    let header = read_header(image)?;
    check_64_bit(image, &header)?;
    let setup_bytes = (u64::from(setup_sectors(&header)) + 1) * SECTOR_BYTES;
    image.require(setup_bytes + u64::from(header.syssize) * PARAGRAPH_BYTES)?;

    let start = u64::from(header.code32_start);
    if start < HIGH_MEMORY_START {
        return Err(image.damaged(format!("its code32_start is {start:#x}, below 1 MiB")));
    }
    let end = memory_end(image, &header, start + (image.length - setup_bytes))?;
    super::require_room(memory, &image.name, end)?;

    let loaded = BzImage::load(memory, None, &mut image.source, Some(GuestAddress(HIGH_MEMORY_START)));
    loaded.map_err(|e| image.unreadable(Role::Kernel, &e))?;
    Ok(Loaded { protocol: Protocol::Linux64, rip: start + ENTRY_64_OFFSET, end, header: Some(header) })
}

/// The setup header, with zeros in the fields that this kernel's version does not have.
fn read_header<S: Source>(image: &mut Image<S>) -> Result<setup_header, BootError> {
    image.require(HEADER_OFFSET + size_of::<setup_header>() as u64)?;
    let bytes = image.read(HEADER_OFFSET, size_of::<setup_header>() as u64)?;
    // The byte is the second of the jump instruction before `HdrS`: its distance is the header's end.
    let reach = bytes[(HEADER_END_OFFSET - HEADER_OFFSET) as usize];
    let used = (HEADER_END_OFFSET + 1 - HEADER_OFFSET) as usize + usize::from(reach);
    let used = used.min(bytes.len());
    let mut header = setup_header::default();
    header.as_mut_slice()[..used].copy_from_slice(&bytes[..used]);
    Ok(header)
}

fn check_64_bit<S: Source>(image: &Image<S>, header: &setup_header) -> Result<(), BootError> {
    let [minor, major] = header.version.to_le_bytes();
    let has_entry = header.version >= VERSION_WITH_XLOADFLAGS && header.xloadflags & XLF_KERNEL_64 != 0;
    if has_entry && header.loadflags & LOADED_HIGH != 0 {
        return Ok(());
    }
    Err(BootError::No64BitEntry { name: image.name.clone(), major, minor })
}

fn setup_sectors(header: &setup_header) -> u8 {
    if header.setup_sects == 0 { DEFAULT_SETUP_SECTORS } else { header.setup_sects }
}

/// End of what the kernel needs: of its file, and of the memory in which it unpacks itself, which begins at
/// `pref_address` or, when it may be moved, at its load address, whichever is higher.
fn memory_end<S: Source>(image: &Image<S>, header: &setup_header, file_end: u64) -> Result<u64, BootError> {
    let mut runtime_start = header.pref_address;
    if header.relocatable_kernel != 0 {
        runtime_start = runtime_start.max(u64::from(header.code32_start));
    }
    let runtime_end = runtime_start
        .checked_add(u64::from(header.init_size))
        .ok_or_else(|| image.damaged(format!("its pref_address is {runtime_start:#x}")))?;
    Ok(file_end.max(runtime_end))
}
