//! What can go wrong with a machine: one enum, each a sentence that names the thing and the way out.

use std::io;

use godwit_devices::{GenerationError, virtio::ImageError};
use godwit_state::StateError;
use thiserror::Error;

use crate::{
    acpi::AcpiError, boot::BootError, config::ConfigError, cpuid::CpuidError, kvm::KvmError,
    machine::RunState,
};

/// Why a machine could not be made, run, saved or restored.
#[derive(Debug, Error)]
pub enum MachineError {
    /// A dirty limit without dirty rings.
    #[error(
        "a dirty limit needs to know what each vCPU dirties, and this machine tracks with KVM's dirty log; start it with \
         --dirty ring, or slow it by a share"
    )]
    NoDirtyLimit,
    /// Numbers that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// KVM is not there, or a call failed.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The host does not give the memory.
    #[error("the host does not give {bytes} bytes of guest memory; give the guest less (--memory)")]
    Memory {
        /// What was asked for.
        bytes: u64,
        /// Why not.
        source: io::Error,
    },
    /// The kernel or the initial RAM disk cannot be loaded.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The ACPI tables cannot be written.
    #[error(transparent)]
    Acpi(#[from] AcpiError),
    /// CPUID cannot be made.
    #[error(transparent)]
    Cpuid(#[from] CpuidError),
    /// The guest cannot be given a generation.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// A saved state that cannot be written or taken over.
    #[error(transparent)]
    State(#[from] StateError),
    /// A device or its back end cannot be made.
    #[error("device '{device}' cannot be made: {reason}")]
    Device {
        /// Its instance name.
        device: String,
        /// Why.
        reason: String,
    },
    /// What only one machine may use at a time is in use.
    #[error("device '{device}' cannot be used: {reason}")]
    Claim {
        /// Its instance name.
        device: String,
        /// By whom, or why not.
        reason: String,
    },
    /// No device of that name.
    #[error("there is no {what} '{name}'; this machine has {count}, counted from {what}0")]
    NoDevice {
        /// The name.
        name: String,
        /// What it was to be.
        what: &'static str,
        /// How many of it there are.
        count: usize,
    },
    /// No balloon.
    #[error("this machine has no balloon; start it with --balloon size=0, and give it a size later")]
    NoBalloon,
    /// A disk cannot become what was asked for.
    #[error(transparent)]
    Disk(#[from] ImageError),
    /// A thread cannot be started.
    #[error("the thread '{name}' cannot be started")]
    Thread {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A vCPU's thread is gone.
    #[error("the thread of vCPU {0} ended; see its own message")]
    VcpuGone(u8),
    /// Not in this state of the machine.
    #[error("the machine is {is}, and cannot {wanted}")]
    WrongState {
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        is: RunState,
    },
    /// A peer's machine that this build or host cannot make.
    #[error("the guest's machine cannot be made here: {0}")]
    Shape(String),
}
