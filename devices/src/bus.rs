//! Which device an address belongs to: the port-I/O bus and the memory-mapped bus.
//!
//! A bus is filled while the machine is built and only read afterwards, so a look-up takes no lock but the device's
//! own. It never interprets an access. Neighbours: [`crate::device`] for what is put here; the vCPU threads call
//! `read` and `write`.

use std::sync::PoisonError;

use thiserror::Error;

use crate::device::{MmioDevice, PioDevice, Shared};

/// Why a device could not be put on a bus.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BusError {
    /// The range is empty or runs past the last address of the bus.
    #[error(
        "the range of {len:#x} addresses at {base:#x} is empty or leaves the bus, whose last address is {last:#x}"
    )]
    Range {
        /// First address asked for.
        base: u64,
        /// Number of addresses asked for.
        len: u64,
        /// Last address of this bus.
        last: u64,
    },
    /// Another device already has some of these addresses.
    #[error(
        "the range of {len:#x} addresses at {base:#x} overlaps the one at {taken:#x}; choose another base"
    )]
    Overlap {
        /// First address asked for.
        base: u64,
        /// Number of addresses asked for.
        len: u64,
        /// First address of the range that is in the way.
        taken: u64,
    },
}

struct Range<D: ?Sized> {
    first: u64,
    last: u64,
    device: Shared<D>,
}

/// Devices by address range, sorted and disjoint.
struct Ranges<D: ?Sized>(Vec<Range<D>>);

impl<D: ?Sized> Ranges<D> {
    fn insert(&mut self, base: u64, len: u64, device: Shared<D>, bus_last: u64) -> Result<(), BusError> {
        let last = match len.checked_sub(1).and_then(|more| base.checked_add(more)) {
            Some(last) if last <= bus_last => last,
            _ => return Err(BusError::Range { base, len, last: bus_last }),
        };
        let at = self.0.partition_point(|range| range.last < base);
        match self.0.get(at) {
            Some(next) if next.first <= last => Err(BusError::Overlap { base, len, taken: next.first }),
            _ => {
                self.0.insert(at, Range { first: base, last, device });
                Ok(())
            }
        }
    }

    /// The device at `address` and the offset from its base.
    fn find(&self, address: u64) -> Option<(u64, &Shared<D>)> {
        let range = self.0.get(self.0.partition_point(|range| range.last < address))?;
        Some((address.checked_sub(range.first)?, &range.device))
    }
}

/// The port-I/O bus: 65,536 ports.
pub struct PioBus(Ranges<dyn PioDevice>);

impl Default for PioBus {
    fn default() -> Self {
        Self(Ranges(Vec::new()))
    }
}

impl PioBus {
    /// Puts `device` at `len` ports from `base`.
    ///
    /// # Errors
    /// [`BusError`] when the range is not free or not on the bus.
    pub fn insert(&mut self, base: u16, len: u16, device: Shared<dyn PioDevice>) -> Result<(), BusError> {
        self.0.insert(base.into(), len.into(), device, u16::MAX.into())
    }

    /// A guest's `in`: all ones where there is no device.
    pub fn read(&self, port: u16, data: &mut [u8]) {
        match self.0.find(port.into()) {
            // The offset is at most the port.
            Some((offset, device)) => {
                device.lock().unwrap_or_else(PoisonError::into_inner).read(offset as u16, data);
            }
            None => data.fill(0xff),
        }
    }

    /// A guest's `out`: ignored where there is no device.
    pub fn write(&self, port: u16, data: &[u8]) {
        if let Some((offset, device)) = self.0.find(port.into()) {
            device.lock().unwrap_or_else(PoisonError::into_inner).write(offset as u16, data);
        }
    }
}

/// The memory-mapped bus: guest-physical addresses that are not memory.
pub struct MmioBus(Ranges<dyn MmioDevice>);

impl Default for MmioBus {
    fn default() -> Self {
        Self(Ranges(Vec::new()))
    }
}

impl MmioBus {
    /// Puts `device` at `len` bytes from guest-physical address `base`.
    ///
    /// # Errors
    /// [`BusError`] when the range is not free or not on the bus.
    pub fn insert(&mut self, base: u64, len: u64, device: Shared<dyn MmioDevice>) -> Result<(), BusError> {
        self.0.insert(base, len, device, u64::MAX)
    }

    /// A guest's load: all ones where there is no device.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        match self.0.find(address) {
            Some((offset, device)) => {
                device.lock().unwrap_or_else(PoisonError::into_inner).read(offset, data);
            }
            None => data.fill(0xff),
        }
    }

    /// A guest's store: ignored where there is no device.
    pub fn write(&self, address: u64, data: &[u8]) {
        if let Some((offset, device)) = self.0.find(address) {
            device.lock().unwrap_or_else(PoisonError::into_inner).write(offset, data);
        }
    }
}
