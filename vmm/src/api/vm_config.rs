//! `VmConfig`: what a machine is made of, in Cloud Hypervisor's words. `vm.create` takes one, the command line of
//! `godwit run` makes one, and `vm.info` tells it. Neighbour: `create` reads it from a request.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{DeviceSet, SerialConfig, boot::Kernel};

/// Memory of a guest where nobody says how much: 512 MiB.
pub const DEFAULT_MEMORY_BYTES: u64 = 512 << 20;

/// A machine that is asked for, or there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmConfig {
    /// vCPUs.
    pub cpus: Cpus,
    /// Memory.
    pub memory: Memory,
    /// What is booted; empty for a guest that comes from elsewhere.
    pub payload: Payload,
    /// The console.
    #[serde(serialize_with = "write_serial", deserialize_with = "read_serial")]
    pub serial: SerialConfig,
    /// The other devices: `disks` and so on.
    #[serde(flatten)]
    pub devices: DeviceSet,
}

/// `CpusConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpus {
    /// vCPUs at boot.
    pub boot_vcpus: u8,
    /// Most vCPUs; the same, since none can be added.
    pub max_vcpus: u8,
}

impl Cpus {
    /// So many, and no more.
    #[must_use]
    pub fn of(count: u8) -> Self {
        Self { boot_vcpus: count, max_vcpus: count }
    }
}

/// `MemoryConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Guest memory in bytes.
    pub size: u64,
}

/// `PayloadConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// The kernel's file, or `builtin:load`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// The kernel's command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// The initrd's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initramfs: Option<PathBuf>,
}

/// `SerialConfig`, as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Serial {
    /// Where the console goes.
    mode: ConsoleMode,
    /// The file, for [`ConsoleMode::File`].
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    /// The socket, for [`ConsoleMode::Socket`].
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<PathBuf>,
}

/// `ConsoleMode`, those that godwit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum ConsoleMode {
    /// The process's own terminal.
    Tty,
    /// A file.
    File,
    /// A Unix socket.
    Socket,
    /// Nowhere. A port that is not there would be another machine; nobody reads this one.
    #[serde(alias = "Off")]
    Null,
}

impl From<&SerialConfig> for Serial {
    fn from(serial: &SerialConfig) -> Self {
        let (mode, file, socket) = match serial {
            SerialConfig::Stdio => (ConsoleMode::Tty, None, None),
            SerialConfig::File(path) => (ConsoleMode::File, Some(path.clone()), None),
            SerialConfig::Socket(path) => (ConsoleMode::Socket, None, Some(path.clone())),
            SerialConfig::Null => (ConsoleMode::Null, None, None),
        };
        Self { mode, file, socket }
    }
}

impl TryFrom<Serial> for SerialConfig {
    type Error = &'static str;

    fn try_from(serial: Serial) -> Result<Self, &'static str> {
        match (serial.mode, serial.file, serial.socket) {
            (ConsoleMode::Tty, None, None) => Ok(Self::Stdio),
            (ConsoleMode::Null, None, None) => Ok(Self::Null),
            (ConsoleMode::File, Some(path), None) => Ok(Self::File(path)),
            (ConsoleMode::Socket, None, Some(path)) => Ok(Self::Socket(path)),
            _ => Err(
                "the mode \"File\" goes with 'file', \"Socket\" with 'socket', and the others with neither",
            ),
        }
    }
}

fn write_serial<S: Serializer>(serial: &SerialConfig, to: S) -> Result<S::Ok, S::Error> {
    Serial::from(serial).serialize(to)
}

fn read_serial<'de, D: Deserializer<'de>>(from: D) -> Result<SerialConfig, D::Error> {
    Serial::deserialize(from)?.try_into().map_err(de::Error::custom)
}
