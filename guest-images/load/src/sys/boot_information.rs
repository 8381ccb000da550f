//! What the VMM says at the start: the command line, the map of memory, where the ACPI tables are.
//!
//! Two formats are read: PVH's start info (Xen, `arch-x86/hvm/start_info.h`) and Linux' zero page
//! (Documentation/arch/x86/boot.rst). All of it is copied, because the guest then fills the memory it lies in.

use core::ptr::with_exposed_provenance;

use crate::layout::{Range, Ranges};

/// Bytes of the longest command line, with the zero byte at its end.
pub const COMMAND_LINE_BYTES: usize = 2048;

const START_INFO_MAGIC: u32 = 0x336e_c578;
const RAM: u32 = 1;

/// The copied facts.
pub struct BootInformation {
    command_line: [u8; COMMAND_LINE_BYTES],
    /// Usable memory above 1 MiB.
    pub ram: Ranges,
    /// Physical address of ACPI's root pointer, 0 if the VMM named none.
    pub rsdp: u64,
}

impl BootInformation {
    /// The command line; `None` if it is longer than [`COMMAND_LINE_BYTES`] or no UTF-8.
    pub fn command_line(&self) -> Option<&str> {
        let length = self.command_line.iter().position(|&byte| byte == 0)?;
        core::str::from_utf8(&self.command_line[..length]).ok()
    }
}

/// Reads a value at a physical address.
///
/// # Safety
/// The address range is mapped.
unsafe fn read<T: Copy>(address: u64) -> T {
    // SAFETY: mapped as the caller vouches; T is a plain number.
    unsafe { with_exposed_provenance::<T>(address as usize).read_unaligned() }
}

/// Reads what the boot protocol left: `start_info` if it is not 0 (PVH), else `zero_page` (Linux).
///
/// # Safety
/// One of the two is what the VMM passed at entry, and the guest has written no memory outside its image.
pub unsafe fn copy(start_info: u64, zero_page: u64) -> BootInformation {
    let mut information =
        BootInformation { command_line: [0; COMMAND_LINE_BYTES], ram: Ranges::default(), rsdp: 0 };
    // SAFETY: the caller vouches for the address; the magic number is checked before anything else is believed.
    unsafe {
        if start_info != 0 && read::<u32>(start_info) == START_INFO_MAGIC {
            copy_start_info(&mut information, start_info);
        } else if zero_page != 0 {
            copy_zero_page(&mut information, zero_page);
        }
    }
    information
}

/// # Safety
/// `at` is a start info structure.
unsafe fn copy_start_info(information: &mut BootInformation, at: u64) {
    // SAFETY: the offsets are those of the structure and of its memory map's entries.
    unsafe {
        copy_command_line(information, read(at + 24));
        information.rsdp = read(at + 32);
        if read::<u32>(at + 4) == 0 {
            return;
        }
        let (entries, count): (u64, u32) = (read(at + 40), read(at + 48));
        for entry in (0..u64::from(count)).map(|index| entries + index * 24) {
            if read::<u32>(entry + 16) == RAM {
                information.ram.add(Range { start: read(entry), bytes: read(entry + 8) });
            }
        }
    }
}

/// # Safety
/// `at` is Linux' zero page.
unsafe fn copy_zero_page(information: &mut BootInformation, at: u64) {
    // SAFETY: the offsets are those of `struct boot_params` and of its e820 entries.
    unsafe {
        let command_line = u64::from(read::<u32>(at + 0x228)) | u64::from(read::<u32>(at + 0xc8)) << 32;
        copy_command_line(information, command_line);
        information.rsdp = read(at + 0x70);
        for entry in (0..u64::from(read::<u8>(at + 0x1e8))).map(|index| at + 0x2d0 + index * 20) {
            if read::<u32>(entry + 16) == RAM {
                information.ram.add(Range { start: read(entry), bytes: read(entry + 8) });
            }
        }
    }
}

/// # Safety
/// `at` is 0 or a string that ends with a zero byte.
unsafe fn copy_command_line(information: &mut BootInformation, at: u64) {
    if at == 0 {
        return;
    }
    for (byte, address) in information.command_line.iter_mut().zip(at..) {
        // SAFETY: all bytes before this one were not the end.
        *byte = unsafe { read(address) };
        if *byte == 0 {
            return;
        }
    }
}
