//! Where everything stands in the guest's physical address space.
//!
//! ```text
//! 0x0000_0500 boot GDT            0x0000_6000 PVH start info, modules, memory map
//! 0x0000_7000 zero page           0x0000_9000 boot page tables (PML4, PDPT, 4 × PD)
//! 0x0002_0000 command line        0x0009_fc00 EBDA (reserved)
//! 0x000e_0000 ACPI tables         0x000f_fff0 where a guest jumps to be reset
//! 0x0010_0000 kernel … initrd at the top of low memory
//! 0xc000_0000 MMIO hole to 4 GiB  0x1_0000_0000 the memory that did not fit below the hole
//! ```
//!
//! Only constants; they are part of a machine's shape, so a change breaks moves between builds. Neighbours: the
//! machine makes its memory slots by [`MMIO_HOLE_START`], the devices get their windows from here, `acpi` tells the
//! guest about them.

use std::ops::Range;

use vm_memory::GuestAddress;

/// Global descriptor table that the boot CPU starts with: [`BOOT_GDT_ENTRIES`] × 8 bytes.
pub const BOOT_GDT: GuestAddress = GuestAddress(0x500);
/// Entries of the boot GDT: null, null, code, data, TSS (`__BOOT_CS` is 0x10 and `__BOOT_DS` 0x18 in Linux).
pub const BOOT_GDT_ENTRIES: usize = 5;

/// PVH `hvm_start_info`, 56 bytes.
pub const PVH_START_INFO: GuestAddress = GuestAddress(0x6000);
/// PVH module list: one `hvm_modlist_entry` of 32 bytes, the initrd.
pub const PVH_MODULES: GuestAddress = GuestAddress(0x6040);
/// PVH memory map: `hvm_memmap_table_entry` of 24 bytes each, up to the zero page.
pub const PVH_MEMORY_MAP: GuestAddress = GuestAddress(0x6080);

/// Linux `boot_params`, 4 KiB.
pub const ZERO_PAGE: GuestAddress = GuestAddress(0x7000);
/// Top of the stack that the boot CPU starts with; it grows down towards the zero page's end.
pub const BOOT_STACK_TOP: u64 = 0x8ff0;
/// Root of the boot page tables.
pub const BOOT_PML4: GuestAddress = GuestAddress(0x9000);
/// Second level of the boot page tables.
pub const BOOT_PDPT: GuestAddress = GuestAddress(0xa000);
/// Third level: four page directories, one after the other, that map the low 4 GiB to themselves.
pub const BOOT_PAGE_DIRECTORIES: GuestAddress = GuestAddress(0xb000);

/// The kernel's command line, NUL-terminated.
pub const COMMAND_LINE: GuestAddress = GuestAddress(0x2_0000);
/// Largest command line in bytes, its NUL included: Linux's `COMMAND_LINE_SIZE` on x86.
pub const COMMAND_LINE_SIZE: usize = 2048;

/// Extended BIOS data area: reserved up to 640 KiB, since kernels look for firmware data there.
pub const EBDA: Range<u64> = 0x9_fc00..0xa_0000;
/// ACPI tables, the RSDP first: inside the range that kernels search for it.
pub const ACPI: Range<u64> = 0xe_0000..0x10_0000;
/// The guest's generation, 16 bytes in the last page of that area.
pub const GENERATION: GuestAddress = GuestAddress(0xf_f000);
/// Where a guest jumps in real mode to be reset, `ffff:0000`.
pub const RESET_VECTOR: GuestAddress = GuestAddress(0xf_fff0);
/// First address of a kernel.
pub const HIGH_MEMORY_START: u64 = 0x10_0000;

/// Start of the hole in memory where devices are: memory beyond this continues at [`MMIO_HOLE_END`].
pub const MMIO_HOLE_START: u64 = 0xc000_0000;
/// First address after the hole.
pub const MMIO_HOLE_END: u64 = 0x1_0000_0000;

/// First virtio-mmio register window.
pub const VIRTIO_MMIO_BASE: u64 = 0xd000_0000;
/// Size of one virtio-mmio register window.
pub const VIRTIO_MMIO_SIZE: u64 = 0x1000;
/// Interrupt of each virtio-mmio window, in order, and so the most windows there can be. PC devices keep theirs:
/// timer 0, COM1 4, clock 8, power 9, coprocessor 13.
pub const VIRTIO_MMIO_GSIS: [u32; 16] = [5, 6, 7, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

/// I/O APIC registers (24 pins; pin n is GSI n, as KVM routes by default).
pub const IO_APIC: u64 = 0xfec0_0000;
/// Local APIC registers.
pub const LOCAL_APIC: u64 = 0xfee0_0000;
/// One page that KVM needs on Intel hosts (`KVM_SET_IDENTITY_MAP_ADDR`).
pub const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;
/// Three pages that KVM needs on Intel hosts (`KVM_SET_TSS_ADDR`).
pub const KVM_TSS: u64 = 0xfffb_d000;
