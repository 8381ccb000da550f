//! What a machine is asked to be, and whether it can be.
//!
//! Checks numbers only; files are looked at when they are loaded. Neighbours: the command line and the API fill it,
//! [`crate::Machine`] builds from it.

use std::path::PathBuf;

use godwit_migration::limits::MAX_CPUS;
use thiserror::Error;

use crate::{boot::Kernel, device_set::DeviceSet};

/// Where the guest's serial port goes.
pub use godwit_devices::SerialBackend as SerialConfig;

/// Least memory of a guest: 32 MiB.
pub const MIN_MEMORY_BYTES: u64 = 32 << 20;
/// Most memory of a guest: 4 TiB, the most pages that a migration numbers.
pub const MAX_MEMORY_BYTES: u64 = 4 << 40;
/// Guest memory comes in multiples of 2 MiB, the size of a huge page.
pub const MEMORY_STEP_BYTES: u64 = 2 << 20;

/// How written pages are found while a migration runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirtyKind {
    /// KVM's dirty log, a bitmap per slot.
    #[default]
    Log,
    /// KVM's dirty rings, one per vCPU.
    Ring,
}

/// A machine to boot.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// The kernel.
    pub kernel: Kernel,
    /// Initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    pub cmdline: String,
    /// Guest memory in bytes.
    pub memory_bytes: u64,
    /// Number of vCPUs.
    pub cpus: u8,
    /// The serial port's other end.
    pub serial: SerialConfig,
    /// How written pages are found.
    pub dirty: DirtyKind,
    /// Devices beside those that every machine has.
    pub devices: DeviceSet,
}

/// What a machine that receives a guest decides for itself; everything else comes with the guest.
#[derive(Clone, Debug)]
pub struct IncomingConfig {
    /// The serial port's other end.
    pub serial: SerialConfig,
    /// How written pages are found, when the guest moves on.
    pub dirty: DirtyKind,
    /// This side of the guest's devices, beside those that every machine has.
    pub devices: DeviceSet,
}

/// A number that no machine can have.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Below the least memory.
    #[error("{0} bytes of memory are too little for a guest; the least is 32 MiB")]
    MemoryTooSmall(u64),
    /// Above the most memory.
    #[error("{0} bytes of memory are too much for a guest; the most is 4 TiB")]
    MemoryTooLarge(u64),
    /// Not a multiple of 2 MiB.
    #[error(
        "{asked} bytes of memory are not a multiple of 2 MiB; the nearest is {} MiB",
        .nearest >> 20
    )]
    MemoryStep {
        /// What was asked for.
        asked: u64,
        /// The nearest value that can be.
        nearest: u64,
    },
    /// Not a number of vCPUs that can be.
    #[error("{0} vCPUs cannot be; a guest has 1 to {MAX_CPUS}")]
    Cpus(u8),
}

impl MachineConfig {
    /// Whether the numbers can be.
    ///
    /// # Errors
    /// The first that cannot, with the nearest that can.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_memory(self.memory_bytes)?;
        match self.cpus {
            1..=MAX_CPUS => Ok(()),
            cpus => Err(ConfigError::Cpus(cpus)),
        }
    }
}

fn check_memory(bytes: u64) -> Result<(), ConfigError> {
    match bytes {
        _ if bytes < MIN_MEMORY_BYTES => Err(ConfigError::MemoryTooSmall(bytes)),
        _ if bytes > MAX_MEMORY_BYTES => Err(ConfigError::MemoryTooLarge(bytes)),
        _ if !bytes.is_multiple_of(MEMORY_STEP_BYTES) => {
            let nearest = (bytes + MEMORY_STEP_BYTES / 2) / MEMORY_STEP_BYTES * MEMORY_STEP_BYTES;
            Err(ConfigError::MemoryStep { asked: bytes, nearest })
        }
        _ => Ok(()),
    }
}
