//! A userspace VMM on KVM whose reason to exist is live migration.

pub mod acpi;
pub mod api;
pub mod boot;
pub mod cli;
pub mod control;
pub mod cpuid;

mod config;
#[cfg(test)]
mod config_test;
mod device_set;
mod dirty;
mod error;
mod event_loop;
pub mod exit;
#[cfg(test)]
mod exit_test;
mod footprint;
#[cfg(test)]
mod fuzz_test;
#[cfg(test)]
mod golden_test;
mod kvm;
mod machine;
mod memory;
pub mod record;
mod run_token;
pub mod sandbox;
mod vcpu;
mod vm_state;
#[cfg(test)]
mod vm_state_test;

pub use config::{ConfigError, DirtyKind, IncomingConfig, MachineConfig, SerialConfig};
pub use device_set::{DeviceOutline, DeviceSet, QueueOptions};
pub use error::MachineError;
pub use exit::{Exit, ExitSender};
pub use kvm::KvmError;
pub use machine::{Machine, RunState};
pub use memory::GuestPages;
pub use run_token::RunToken;
