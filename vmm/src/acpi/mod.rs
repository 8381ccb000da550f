//! The ACPI tables: how a guest learns of its CPUs, its interrupt controllers and its devices.
//!
//! Hardware-reduced ACPI (ACPI 6.5 §4.1): no PM1 blocks, no SCI, and Linux leaves the 8259 and the PIT alone; what is
//! not in the DSDT is not there. Written once at boot, part of guest memory ever after, and so moved with it: nothing
//! here is needed on the target of a migration. Neighbours: the machine says which windows it made,
//! `godwit-devices` owns the ports, [`crate::boot::layout`] the addresses.

mod dsdt;
mod fadt;
mod madt;
#[cfg(test)]
mod tables_test;

use acpi_tables::Aml;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use thiserror::Error;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryError};

use crate::boot::GuestMemory;
use crate::boot::layout::{ACPI, GENERATION};

const OEM_ID: [u8; 6] = *b"GODWIT";
const OEM_TABLE_ID: [u8; 8] = *b"GODWITVM";
/// Raised when the tables change in a way that a guest could see.
const OEM_REVISION: u32 = 1;
/// Tables start at a multiple of this; the RSDP needs 16.
const ALIGNMENT: u64 = 64;

/// A virtio-mmio register window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioDevice {
    /// Guest-physical address, below 4 GiB.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// Its interrupt: edge-triggered, active-high, exclusive.
    pub gsi: u32,
}

/// Why there can be no tables.
#[derive(Debug, Error)]
pub enum AcpiError {
    /// A window that 32-bit resources cannot describe.
    #[error("the device window at {base:#x} of {size:#x} bytes does not end below 4 GiB")]
    WindowTooHigh {
        /// Its address.
        base: u64,
        /// Its size.
        size: u64,
    },
    /// The area is full.
    #[error(
        "the ACPI tables end at {end:#x}, beyond their area that ends at {limit:#x}; attach fewer devices"
    )]
    TooLarge {
        /// Where they would end.
        end: u64,
        /// Where they must end.
        limit: u64,
    },
    /// The area is not in memory.
    #[error("cannot write the ACPI tables into guest memory: {0}; give the guest more with --memory")]
    Memory(#[from] GuestMemoryError),
}

/// What a machine has that not every machine has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attached<'a> {
    /// Its virtio-mmio windows.
    pub windows: &'a [MmioDevice],
    /// Whether it has the port by which a guest tells of its panic.
    pub pvpanic: bool,
}

/// Writes RSDP, DSDT, FADT, MADT and XSDT for a machine of `cpus` CPUs (APIC ids 0 to `cpus - 1`) with what is `attached`;
/// returns where the RSDP is.
///
/// # Errors
/// [`AcpiError`], which names the window or the limit.
pub fn write_tables(
    memory: &GuestMemory,
    cpus: u8,
    attached: Attached<'_>,
) -> Result<GuestAddress, AcpiError> {
    let rsdp = GuestAddress(ACPI.start);
    let mut area = Area { memory, next: (ACPI.start + Rsdp::len() as u64).next_multiple_of(ALIGNMENT) };
    let dsdt = area.put(&dsdt::bytes(attached)?)?;
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(area.put(&encode(&fadt::table(dsdt)))?);
    xsdt.add_entry(area.put(&encode(&madt::table(cpus)))?);
    let xsdt = area.put(&encode(&xsdt))?;
    memory.write_slice(&encode(&Rsdp::new(OEM_ID, xsdt)), rsdp)?;
    Ok(rsdp)
}

/// The part of guest memory that the tables fill, from the bottom.
struct Area<'a> {
    memory: &'a GuestMemory,
    next: u64,
}

impl Area<'_> {
    /// Writes one table and returns its address.
    fn put(&mut self, table: &[u8]) -> Result<u64, AcpiError> {
        let (start, end) = (self.next, self.next + table.len() as u64);
        if end > GENERATION.raw_value() {
            return Err(AcpiError::TooLarge { end, limit: GENERATION.raw_value() });
        }
        self.memory.write_slice(table, GuestAddress(start))?;
        self.next = end.next_multiple_of(ALIGNMENT);
        Ok(start)
    }
}

fn encode(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}
