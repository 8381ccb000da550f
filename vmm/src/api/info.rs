//! What `vmm.ping` and `vm.info` answer: the part of Cloud Hypervisor's schema that godwit has.

use std::path::PathBuf;

use godwit_devices::GuestPanic;
use serde::{Deserialize, Serialize};

use crate::DeviceSet;

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

/// `VmConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmConfig {
    /// vCPUs.
    pub cpus: Cpus,
    /// Memory.
    pub memory: Memory,
    /// What was booted; empty for a guest that came from elsewhere.
    pub payload: Payload,
    /// The console.
    pub serial: Serial,
    /// The other devices: `disks` and so on.
    #[serde(flatten)]
    pub devices: DeviceSet,
}

/// `CpusConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpus {
    /// vCPUs at boot.
    pub boot_vcpus: u8,
    /// Most vCPUs; the same, since none can be added.
    pub max_vcpus: u8,
}

/// `MemoryConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Guest memory in bytes.
    pub size: u64,
}

/// `PayloadConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The kernel's file, or `builtin:load`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The kernel's command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// The initrd's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initramfs: Option<PathBuf>,
}

/// `SerialConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serial {
    /// Where the console goes.
    pub mode: ConsoleMode,
    /// The file, for [`ConsoleMode::File`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The socket, for [`ConsoleMode::Socket`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// `ConsoleMode`, those that godwit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsoleMode {
    /// The process's own terminal.
    Tty,
    /// A file.
    File,
    /// A Unix socket.
    Socket,
    /// Nowhere.
    Null,
}
