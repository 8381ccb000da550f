//! The interrupt controllers: one local APIC for each CPU, one I/O APIC (ACPI 6.5 §5.2.12).
//!
//! No interrupt source override: KVM routes GSI n to pin n by default, interrupt 0 included, and hardware-reduced
//! guests do not use the PIT.

use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::boot::layout::{IO_APIC, LOCAL_APIC};

/// The I/O APIC's id register, as KVM resets it.
const IO_APIC_ID: u8 = 0;

/// The table for `cpus` CPUs.
pub(super) fn table(cpus: u8) -> MADT {
    let local = LocalInterruptController::Address(LOCAL_APIC as u32);
    let mut table = MADT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION, local);
    for id in 0..cpus {
        table.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    table.add_structure(IoApic::new(IO_APIC_ID, IO_APIC as u32, 0));
    table
}
