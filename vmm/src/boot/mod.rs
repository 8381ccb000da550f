//! Puts a kernel into a guest's memory and says how the boot CPU starts.
//!
//! Kernels: bzImage and ELF with the 64-bit Linux entry, ELF with a PVH note (which is preferred). What a file is, its
//! content says; every field of it is checked before use, and each failure is one sentence ([`BootError`]).
//! Knows nothing of devices, vCPU threads or migration: a guest that arrives by migration is never booted.
//! Neighbours: the machine calls [`load`] and [`Entry::apply`]; `acpi` writes the tables whose place is handed on.

mod bzimage;
mod elf;
mod error;
mod image;
mod initrd;
mod kernel;
pub mod layout;
mod memory_map;
mod notes;
mod pvh;
mod registers;
mod reset_vector;
mod zero_page;

#[cfg(test)]
mod bzimage_test;
#[cfg(test)]
mod elf_test;
#[cfg(test)]
mod fuzz_test;
#[cfg(test)]
mod hand_over_test;
#[cfg(test)]
mod image_test;
#[cfg(test)]
mod kernel_test;
#[cfg(test)]
mod memory_map_test;
#[cfg(test)]
mod notes_test;
#[cfg(test)]
mod registers_test;
#[cfg(test)]
mod samples;

use std::io::Cursor;
use std::path::Path;

use linux_loader::bootparam::setup_header;
use vm_memory::{Address, Bytes, GuestAddress};

pub use error::{BootError, Role};
use image::{Format, Image, Source};
pub use kernel::Kernel;
use layout::{COMMAND_LINE, COMMAND_LINE_SIZE, PVH_START_INFO, ZERO_PAGE};

pub use godwit_devices::GuestMemory;

/// A guest to be started.
#[derive(Clone, Copy, Debug)]
pub struct BootRequest<'a> {
    /// What is booted.
    pub kernel: &'a Kernel,
    /// Its initial RAM disk.
    pub initrd: Option<&'a Path>,
    /// Its command line, at most 2,047 bytes.
    pub cmdline: &'a str,
    /// Where the ACPI tables begin, as `acpi::write_tables` says; they tell how many CPUs there are.
    pub rsdp: GuestAddress,
}

/// How the boot CPU starts. Addresses are guest-physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Linux's 64-bit entry: long mode, the low 4 GiB mapped to themselves, `rsi` = zero page.
    Linux64 {
        /// First instruction.
        rip: u64,
        /// Linux's `boot_params`.
        zero_page: u64,
    },
    /// PVH: 32-bit protected mode, flat segments, paging off, `ebx` = start info.
    Pvh {
        /// First instruction.
        rip: u64,
        /// Xen's `hvm_start_info`.
        start_info: u64,
    },
}

/// The two ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Linux64,
    Pvh,
}

/// A kernel in memory.
#[derive(Clone, Copy, Debug)]
struct Loaded {
    protocol: Protocol,
    /// First instruction.
    rip: u64,
    /// End of the memory that the kernel needs before it can read a memory map.
    end: u64,
    /// Header of a bzImage.
    header: Option<setup_header>,
}

/// Loads kernel, initrd and command line, and writes the structures that the entry protocol needs.
///
/// # Errors
/// [`BootError`]: which file or option, what is wrong with it, and what to do.
pub fn load(memory: &GuestMemory, request: &BootRequest) -> Result<Entry, BootError> {
    let kernel = match request.kernel {
        Kernel::Builtin(bytes) => {
            let (name, length) = (request.kernel.to_string(), bytes.len() as u64);
            load_kernel(memory, Image { name, length, source: Cursor::new(bytes) })?
        }
        Kernel::File(path) => load_kernel(memory, Image::open(Role::Kernel, path)?)?,
    };
    write_command_line(memory, request, &kernel)?;
    reset_vector::write(memory)?;
    let initrd = request.initrd.map(|path| initrd::load(memory, path, &kernel)).transpose()?;
    match kernel.protocol {
        Protocol::Linux64 => {
            zero_page::write(memory, &kernel, initrd, request.rsdp)?;
            Ok(Entry::Linux64 { rip: kernel.rip, zero_page: ZERO_PAGE.raw_value() })
        }
        Protocol::Pvh => {
            pvh::write(memory, initrd, request.rsdp)?;
            Ok(Entry::Pvh { rip: kernel.rip, start_info: PVH_START_INFO.raw_value() })
        }
    }
}

fn load_kernel<S: Source>(memory: &GuestMemory, mut image: Image<S>) -> Result<Loaded, BootError> {
    match image.kernel_format()? {
        Format::BzImage => bzimage::load(memory, &mut image),
        Format::Elf => elf::load(memory, &mut image),
    }
}

/// An error unless low memory reaches to `end`.
fn require_room(memory: &GuestMemory, name: &str, end: u64) -> Result<(), BootError> {
    let available = memory_map::low_memory_end(memory);
    if end <= available {
        return Ok(());
    }
    Err(BootError::KernelTooLarge {
        name: name.into(),
        needed_mib: error::mib_up(end),
        available_mib: available >> 20,
    })
}

fn write_command_line(memory: &GuestMemory, request: &BootRequest, kernel: &Loaded) -> Result<(), BootError> {
    let cmdline = request.cmdline;
    let own_limit = kernel.header.map_or(usize::MAX, |h| h.cmdline_size as usize);
    let limit = own_limit.min(COMMAND_LINE_SIZE - 1);
    if cmdline.len() > limit {
        let name = request.kernel.to_string();
        return Err(BootError::CommandLineTooLong { name, length: cmdline.len(), limit });
    }
    if let Some(offset) = cmdline.bytes().position(|b| b.is_ascii_control() && b != b'\t') {
        return Err(BootError::CommandLineCharacter { offset });
    }
    let bytes = [cmdline.as_bytes(), &[0]].concat();
    memory
        .write_slice(&bytes, COMMAND_LINE)
        .map_err(|source| BootError::Memory { what: "command line", source })
}
