//! What a machine is asked to be, and whether it can be.
//!
//! Checks numbers only; files are looked at when they are loaded. Neighbours: the command line and the API fill it,
//! [`crate::Machine`] builds from it.

use std::path::PathBuf;

use godwit_migration::limits::MAX_CPUS;
use thiserror::Error;

use crate::{api::VmConfig, boot::Kernel, device_set::DeviceSet};

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

/// A machine to boot: a [`VmConfig`] whose numbers can be and that has a kernel.
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

impl IncomingConfig {
    /// For a guest without devices of its own and with a console that nobody reads.
    #[must_use]
    pub fn without_devices(dirty: DirtyKind) -> Self {
        Self { serial: SerialConfig::Null, dirty, devices: DeviceSet::default() }
    }
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
    /// A balloon of more than the guest has.
    #[error("a balloon of {bytes} bytes cannot be; it may have 0 to {memory}, all of the guest's memory")]
    BalloonTooLarge {
        /// What was asked for.
        bytes: u64,
        /// What the guest has.
        memory: u64,
    },
    /// Nothing to boot.
    #[error(
        "there is no kernel to boot: the configuration has no payload.kernel, as that of a guest that came from another \
         process"
    )]
    NoKernel,
    /// A device that cannot be.
    #[error("device '{device}' cannot be: {reason}")]
    Device {
        /// Its instance name.
        device: String,
        /// Why.
        reason: String,
    },
    /// Not a number of vCPUs that can be.
    #[error("{0} vCPUs cannot be; a guest has 1 to {MAX_CPUS}")]
    Cpus(u8),
}

impl MachineConfig {
    /// The machine that `config` asks for, to be booted.
    ///
    /// # Errors
    /// What cannot be, with the nearest that can; or that there is no kernel.
    pub fn of(config: &VmConfig, dirty: DirtyKind) -> Result<Self, ConfigError> {
        let VmConfig { cpus, memory, payload, serial, devices } = config.clone();
        let machine = Self {
            kernel: payload.kernel.ok_or(ConfigError::NoKernel)?,
            initrd: payload.initramfs,
            cmdline: payload.cmdline.unwrap_or_default(),
            memory_bytes: memory.size,
            cpus: cpus.boot_vcpus,
            serial,
            dirty,
            devices,
        };
        machine.check()?;
        Ok(machine)
    }

    /// Whether the numbers can be.
    ///
    /// # Errors
    /// The first that cannot, with the nearest that can.
    pub fn check(&self) -> Result<(), ConfigError> {
        check(self.memory_bytes, self.cpus, &self.devices)
    }
}

impl VmConfig {
    /// Whether the numbers can be, also of a machine that has no kernel to boot.
    ///
    /// # Errors
    /// The first that cannot, with the nearest that can.
    pub fn check(&self) -> Result<(), ConfigError> {
        check(self.memory.size, self.cpus.boot_vcpus, &self.devices)
    }
}

fn check(memory_bytes: u64, cpus: u8, devices: &DeviceSet) -> Result<(), ConfigError> {
    check_memory(memory_bytes)?;
    if !(1..=MAX_CPUS).contains(&cpus) {
        return Err(ConfigError::Cpus(cpus));
    }
    if let Some(balloon) = &devices.balloon {
        check_balloon(balloon.size, memory_bytes)?;
    }
    devices.check()
}

/// Whether a guest with `memory` bytes can be asked for so many.
pub(crate) fn check_balloon(bytes: u64, memory: u64) -> Result<(), ConfigError> {
    if bytes > memory { Err(ConfigError::BalloonTooLarge { bytes, memory }) } else { Ok(()) }
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
