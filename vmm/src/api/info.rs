//! What `vmm.ping` and `vm.info` answer: the part of Cloud Hypervisor's schema that godwit has.

use godwit_devices::GuestPanic;
use serde::{Deserialize, Serialize};

use super::VmConfig;

/// `VmmPingResponse`: which VMM this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Name and version.
    pub build_version: String,
    /// Version alone.
    pub version: String,
    /// Process id.
    pub pid: i64,
    /// Optional things that this build can do.
    pub features: Vec<String>,
}

/// `VmState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VmState {
    /// Made, never run: also a target that has not been handed its guest.
    Created,
    /// Its vCPUs run.
    Running,
    /// Its vCPUs stand still and can be resumed.
    Paused,
    /// It has ended, or runs elsewhere now.
    Shutdown,
}

/// `VmInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmInfo {
    /// What the machine is made of.
    pub config: VmConfig,
    /// What it does.
    pub state: VmState,
    /// Guest memory in bytes.
    pub memory_actual_size: u64,
    /// How the guest ended, in words: godwit's own field.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
    /// What the guest has told of a panic: godwit's own field.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub guest_panic: Option<GuestPanic>,
    /// A migration that waits for a person: godwit's own field.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub migration: Option<Unsettled>,
}

/// A migration of which this side cannot know what became of it, or will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// `unknown` at a source that was not answered; `waiting` at a target that was not told.
    pub outcome: String,
    /// Name of the migration, in hexadecimal digits.
    pub session: String,
    /// The other side.
    pub peer: String,
    /// What is known, for a person.
    pub known: String,
}
