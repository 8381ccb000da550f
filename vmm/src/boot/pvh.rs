//! PVH's `hvm_start_info`: what the PVH entry is handed in `ebx`.
//!
//! Specification: Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h.

use linux_loader::loader::elf::start_info::{
    XEN_HVM_START_MAGIC_VALUE, hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use vm_memory::{Address, ByteValued, Bytes, GuestAddress};

use super::initrd::Initrd;
use super::layout::{COMMAND_LINE, PVH_MEMORY_MAP, PVH_MODULES, PVH_START_INFO};
use super::{BootError, GuestMemory, memory_map};

/// Version of the structure that has the memory map.
const VERSION: u32 = 1;

/// Writes the start info, its module list and its memory map.
pub(super) fn write(
    memory: &GuestMemory,
    initrd: Option<Initrd>,
    rsdp: GuestAddress,
) -> Result<(), BootError> {
    let map = memory_map::of(memory);
    let mut info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: VERSION,
        cmdline_paddr: COMMAND_LINE.raw_value(),
        rsdp_paddr: rsdp.raw_value(),
        memmap_paddr: PVH_MEMORY_MAP.raw_value(),
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    if let Some(initrd) = initrd {
        info.nr_modules = 1;
        info.modlist_paddr = PVH_MODULES.raw_value();
        let module = hvm_modlist_entry { paddr: initrd.start, size: initrd.size, ..Default::default() };
        put(memory, module, PVH_MODULES)?;
    }
    let mut slot = PVH_MEMORY_MAP;
    for entry in map {
        let encoded = hvm_memmap_table_entry {
            addr: entry.start,
            size: entry.size,
            type_: entry.kind as u32,
            ..Default::default()
        };
        put(memory, encoded, slot)?;
        slot = slot.unchecked_add(size_of::<hvm_memmap_table_entry>() as u64);
    }
    put(memory, info, PVH_START_INFO)
}

fn put<T: ByteValued>(memory: &GuestMemory, value: T, address: GuestAddress) -> Result<(), BootError> {
    memory.write_obj(value, address).map_err(|source| BootError::Memory { what: "PVH start info", source })
}
