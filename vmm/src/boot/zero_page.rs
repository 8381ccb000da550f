//! Linux's `boot_params`, the "zero page": what the 64-bit entry is handed in `rsi`.
//!
//! Specification: Linux, Documentation/arch/x86/zero-page.rst and boot.rst.

use linux_loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use vm_memory::{Address, Bytes, GuestAddress};

use super::initrd::Initrd;
use super::layout::{COMMAND_LINE, COMMAND_LINE_SIZE, ZERO_PAGE};
use super::{BootError, GuestMemory, Loaded, memory_map};

/// Last two bytes of a boot sector.
const BOOT_FLAG: u16 = 0xaa55;
/// `HdrS`.
const HEADER_MAGIC: u32 = 0x5372_6448;
/// "A loader without an assigned number".
const LOADER_UNDEFINED: u8 = 0xff;
/// Alignment that an ELF kernel, which has no header of its own, is taken to want.
const KERNEL_ALIGNMENT: u32 = 0x100_0000;

/// Writes the zero page for `kernel`.
pub(super) fn write(
    memory: &GuestMemory,
    kernel: &Loaded,
    initrd: Option<Initrd>,
    rsdp: GuestAddress,
) -> Result<(), BootError> {
    let mut params = boot_params { acpi_rsdp_addr: rsdp.raw_value(), ..Default::default() };
    params.hdr = kernel.header.unwrap_or(setup_header {
        boot_flag: BOOT_FLAG,
        header: HEADER_MAGIC,
        kernel_alignment: KERNEL_ALIGNMENT,
        cmdline_size: COMMAND_LINE_SIZE as u32 - 1,
        ..Default::default()
    });
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    params.hdr.cmd_line_ptr = COMMAND_LINE.raw_value() as u32;
    if let Some(initrd) = initrd {
        // Both are below the hole at 3 GiB.
        params.hdr.ramdisk_image = initrd.start as u32;
        params.hdr.ramdisk_size = initrd.size as u32;
    }
    for (slot, entry) in params.e820_table.iter_mut().zip(memory_map::of(memory)) {
        *slot = boot_e820_entry { addr: entry.start, size: entry.size, r#type: entry.kind as u32 };
        params.e820_entries += 1;
    }
    memory.write_obj(params, ZERO_PAGE).map_err(|source| BootError::Memory { what: "zero page", source })
}
