//! How the boot CPU starts: descriptor table, page tables and registers of each entry protocol.
//!
//! The other CPUs wait for INIT and SIPI, which KVM does by itself. Specifications: Linux,
//! Documentation/arch/x86/boot.rst ("64-bit boot protocol"); Xen, docs/misc/pvh.pandoc; Intel SDM volume 3.

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::VcpuFd;
use vm_memory::{Address, Bytes, GuestAddress};

use super::layout::{
    BOOT_GDT, BOOT_GDT_ENTRIES, BOOT_PAGE_DIRECTORIES, BOOT_PDPT, BOOT_PML4, BOOT_STACK_TOP,
};
use super::{BootError, Entry, GuestMemory};

/// Protected mode.
const CR0_PE: u64 = 1;
/// Extension type: always 1 on a machine of today.
const CR0_ET: u64 = 1 << 4;
/// Paging.
const CR0_PG: u64 = 1 << 31;
/// Physical address extension: 8-byte page table entries.
const CR4_PAE: u64 = 1 << 5;
/// Long mode enabled, and active.
const EFER_LME_LMA: u64 = 1 << 8 | 1 << 10;
/// The only bit of RFLAGS that is always set; interrupts are off.
const RFLAGS_RESERVED: u64 = 1 << 1;

const PAGE_PRESENT_WRITABLE: u64 = 0b11;
/// In a page directory: the entry maps 2 MiB.
const PAGE_LARGE: u64 = 1 << 7;
const LARGE_PAGE_BYTES: u64 = 2 << 20;
/// Page directories, of 1 GiB each: everything below 4 GiB.
const PAGE_DIRECTORIES: u64 = 4;
const ENTRIES_PER_TABLE: u64 = 512;
const TABLE_BYTES: u64 = 4096;

/// Segment types (SDM table 3-1 and 3-2), accessed or busy already.
const TYPE_CODE: u8 = 0xb;
const TYPE_DATA: u8 = 0x3;
const TYPE_TSS: u8 = 0xb;
/// Smallest limit of a TSS.
const TSS_LIMIT: u32 = 0x67;
/// Places in the descriptor table.
const CODE_INDEX: u16 = 2;
const DATA_INDEX: u16 = 3;
const TSS_INDEX: u16 = 4;

impl Entry {
    /// Writes the boot CPU's tables into `memory` and sets the registers of `vcpu`, which has not run yet.
    ///
    /// # Errors
    /// [`BootError::Registers`] where KVM refuses, [`BootError::Memory`] where there is no memory for the tables.
    pub fn apply(&self, vcpu: &VcpuFd, memory: &GuestMemory) -> Result<(), BootError> {
        let mut sregs = vcpu.get_sregs()?;
        let mut regs = kvm_regs { rflags: RFLAGS_RESERVED, ..Default::default() };
        match *self {
            Self::Linux64 { rip, zero_page } => {
                set_segments(&mut sregs, true);
                write_page_tables(memory)?;
                sregs.cr3 = BOOT_PML4.raw_value();
                sregs.cr4 = CR4_PAE;
                sregs.efer = EFER_LME_LMA;
                sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
                (regs.rip, regs.rsi) = (rip, zero_page);
                (regs.rsp, regs.rbp) = (BOOT_STACK_TOP, BOOT_STACK_TOP);
            }
            Self::Pvh { rip, start_info } => {
                set_segments(&mut sregs, false);
                sregs.cr4 = 0;
                sregs.efer = 0;
                sregs.cr0 = CR0_PE | CR0_ET;
                (regs.rip, regs.rbx) = (rip, start_info);
            }
        }
        write_gdt(memory, &sregs)?;
        vcpu.set_sregs(&sregs)?;
        vcpu.set_regs(&regs)?;
        Ok(())
    }
}

/// Flat segments: 64-bit code when `long`, else 32-bit code.
fn set_segments(sregs: &mut kvm_sregs, long: bool) {
    let flat = kvm_segment { limit: u32::MAX, present: 1, s: 1, g: 1, ..Default::default() };
    sregs.cs = kvm_segment {
        selector: CODE_INDEX * 8,
        type_: TYPE_CODE,
        l: u8::from(long),
        db: u8::from(!long),
        ..flat
    };
    let data = kvm_segment { selector: DATA_INDEX * 8, type_: TYPE_DATA, db: 1, ..flat };
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        selector: TSS_INDEX * 8,
        type_: TYPE_TSS,
        limit: TSS_LIMIT,
        present: 1,
        ..Default::default()
    };
    sregs.gdt.base = BOOT_GDT.raw_value();
    sregs.gdt.limit = (BOOT_GDT_ENTRIES * 8 - 1) as u16;
    sregs.idt.base = 0;
    sregs.idt.limit = 0;
}

/// The descriptor table that holds what [`set_segments`] put into the registers.
fn write_gdt(memory: &GuestMemory, sregs: &kvm_sregs) -> Result<(), BootError> {
    let gdt: [u64; BOOT_GDT_ENTRIES] =
        [0, 0, descriptor(&sregs.cs), descriptor(&sregs.ds), descriptor(&sregs.tr)];
    put_table(memory, BOOT_GDT, gdt.into_iter(), "boot GDT")
}

/// The 8-byte form of `segment` (SDM figure 3-8).
pub(super) fn descriptor(segment: &kvm_segment) -> u64 {
    let limit = u64::from(if segment.g == 1 { segment.limit >> 12 } else { segment.limit });
    let access = u64::from(segment.type_ | segment.s << 4 | segment.dpl << 5 | segment.present << 7);
    let flags = u64::from(segment.avl | segment.l << 1 | segment.db << 2 | segment.g << 3);
    (limit & 0xffff)
        | (segment.base & 0xff_ffff) << 16
        | access << 40
        | (limit >> 16 & 0xf) << 48
        | flags << 52
        | (segment.base >> 24 & 0xff) << 56
}

/// Maps the low 4 GiB to themselves, in pages of 2 MiB: all that a kernel and what it is handed can be in.
fn write_page_tables(memory: &GuestMemory) -> Result<(), BootError> {
    let table = |address: GuestAddress| address.raw_value() | PAGE_PRESENT_WRITABLE;
    put_table(memory, BOOT_PML4, [table(BOOT_PDPT)].into_iter(), "boot page tables")?;
    let directories =
        (0..PAGE_DIRECTORIES).map(|n| table(BOOT_PAGE_DIRECTORIES.unchecked_add(n * TABLE_BYTES)));
    put_table(memory, BOOT_PDPT, directories, "boot page tables")?;
    let pages = (0..PAGE_DIRECTORIES * ENTRIES_PER_TABLE)
        .map(|n| (n * LARGE_PAGE_BYTES) | PAGE_LARGE | PAGE_PRESENT_WRITABLE);
    put_table(memory, BOOT_PAGE_DIRECTORIES, pages, "boot page tables")
}

fn put_table(
    memory: &GuestMemory,
    address: GuestAddress,
    entries: impl Iterator<Item = u64>,
    what: &'static str,
) -> Result<(), BootError> {
    let bytes: Vec<u8> = entries.flat_map(u64::to_le_bytes).collect();
    memory.write_slice(&bytes, address).map_err(|source| BootError::Memory { what, source })
}
