//! The body of `vm.create`: Cloud Hypervisor's `VmConfig`.
//!
//! Three kinds of fields: those that are served; those that Cloud Hypervisor has and godwit does not serve, which may
//! hold what changes nothing ([`Neutral`]), so that a configuration with every default spelt out is taken; and all
//! others, which are refused by name. Nothing is passed over in silence.

use std::path::PathBuf;

use godwit_devices::virtio::{PortConfig, PortMode};
use serde::Deserialize;

use super::{
    Refusal,
    fields::{Fields, Neutral},
    vm_config::{Cpus, DEFAULT_MEMORY_BYTES, Memory, Payload, Serial, VmConfig},
};
use crate::{DeviceSet, SerialConfig};

/// What is served.
const SERVED: [&str; 13] = [
    "cpus",
    "memory",
    "payload",
    "disks",
    "net",
    "rng",
    "balloon",
    "vsock",
    "serial",
    "console",
    "console_ports",
    "debug_console",
    "pvpanic",
];

/// What a machine of godwit's does not have.
const UNSERVED: &[Neutral] = &[
    ("rate_limit_groups", &["[]"]),
    ("fs", &["[]"]),
    ("generic_vhost_user", &["[]"]),
    ("pmem", &["[]"]),
    ("devices", &["[]"]),
    ("user_devices", &["[]"]),
    ("vdpa", &["[]"]),
    ("numa", &["[]"]),
    ("iommu", &["false"]),
    ("watchdog", &["false"]),
    ("rtc", &[]),
    ("pci_segments", &["[]"]),
    ("platform", &["{}"]),
    ("tpm", &[]),
    ("sgx_epc", &["[]"]),
    ("gdb", &["false"]),
    ("landlock_enable", &["false"]),
    ("landlock_rules", &["[]"]),
    ("preserved_fds", &["[]"]),
];

const CPUS: &[Neutral] = &[
    ("topology", &[]),
    ("kvm_hyperv", &["false"]),
    // Cloud Hypervisor's default, above what its hosts have.
    ("max_phys_bits", &["46"]),
    ("nested", &["true"]),
    ("affinity", &["[]"]),
    ("features", &["{}", "{\"amx\":false}"]),
    ("core_scheduling", &["\"Off\""]),
];

const MEMORY: &[Neutral] = &[
    ("hotplug_size", &["0"]),
    ("hotplugged_size", &["0"]),
    ("hotplug_method", &["\"Acpi\""]),
    ("mergeable", &["false"]),
    ("shared", &["false"]),
    ("hugepages", &["false"]),
    ("hugepage_size", &[]),
    ("prefault", &["false"]),
    ("reserve", &["false"]),
    ("thp", &["true"]),
    ("zones", &["[]"]),
];

const PAYLOAD: &[Neutral] = &[("firmware", &[]), ("igvm", &[]), ("host_data", &[])];

const DISK: &[Neutral] = &[
    ("id", &["\"disk#\""]),
    ("iommu", &["false"]),
    ("pci_segment", &["0"]),
    ("pci_device_id", &[]),
    ("vhost_user", &["false"]),
    ("vhost_socket", &[]),
    ("rate_limit_group", &[]),
    ("queue_affinity", &["[]"]),
    ("backing_files", &["false"]),
    ("sparse", &["true"]),
    // The whole image is locked, and with it every range.
    ("lock_granularity", &["\"ByteRange\"", "\"Full\""]),
];

const NET: &[Neutral] = &[
    ("id", &["\"net#\""]),
    ("iommu", &["false"]),
    ("pci_segment", &["0"]),
    ("pci_device_id", &[]),
    ("vhost_user", &["false"]),
    ("vhost_socket", &[]),
    ("vhost_mode", &["\"Client\""]),
    ("host_mac", &[]),
    ("ip", &[]),
    ("mask", &[]),
    // A number in a request would name a descriptor of this process, whatever that is.
    ("fds", &[]),
];

const RNG: &[Neutral] =
    &[("id", &["\"rng0\""]), ("iommu", &["false"]), ("pci_segment", &["0"]), ("pci_device_id", &[])];

const BALLOON: &[Neutral] =
    &[("id", &["\"balloon0\""]), ("iommu", &["false"]), ("pci_segment", &["0"]), ("pci_device_id", &[])];

const VSOCK: &[Neutral] =
    &[("id", &["\"vsock0\""]), ("iommu", &["false"]), ("pci_segment", &["0"]), ("pci_device_id", &[])];

const CONSOLE: &[Neutral] =
    &[("id", &["\"console0\""]), ("iommu", &["false"]), ("pci_segment", &["0"]), ("pci_device_id", &[])];

/// `iobase` only matters where there is a debug console.
const DEBUG_CONSOLE: &[Neutral] = &[
    ("id", &[]),
    ("iommu", &["false"]),
    ("pci_segment", &["0"]),
    ("pci_device_id", &[]),
    ("file", &[]),
    ("socket", &[]),
    ("iobase", &["233"]),
];

/// A debug console, which is not there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoConsole {
    #[serde(rename = "mode")]
    _mode: NoConsoleMode,
}

#[derive(Deserialize)]
enum NoConsoleMode {
    Off,
    Null,
}

/// A console, which may be off: then there is no such device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Console {
    mode: ConsoleMode,
    file: Option<PathBuf>,
    socket: Option<PathBuf>,
}

#[derive(Deserialize)]
enum ConsoleMode {
    Off,
    Tty,
    File,
    Socket,
    Null,
}

impl Console {
    fn port(self) -> Option<PortConfig> {
        let mode = match self.mode {
            ConsoleMode::Off => return None,
            ConsoleMode::Tty => PortMode::Tty,
            ConsoleMode::File => PortMode::File,
            ConsoleMode::Socket => PortMode::Socket,
            ConsoleMode::Null => PortMode::Null,
        };
        Some(PortConfig { name: None, mode, file: self.file, socket: self.socket })
    }
}

impl VmConfig {
    /// Reads the body of `vm.create`. Whether the numbers can be is looked at by [`crate::MachineConfig`].
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let known: Vec<_> = SERVED.into_iter().chain(UNSERVED.iter().map(|(name, _)| *name)).collect();
        let mut fields = Fields::parse(endpoint, &known, body)?;
        UNSERVED.iter().try_for_each(|field| fields.only_neutral(field))?;
        let _absent: Option<NoConsole> = fields.part("debug_console", DEBUG_CONSOLE)?;
        let payload: Payload = fields.part("payload", PAYLOAD)?.unwrap_or_default();
        if payload.kernel.is_none() && payload != Payload::default() {
            return Err(Refusal::bad_request(format!(
                "the field 'payload' of {endpoint} has no 'kernel'; name a file or \"builtin:load\", or leave all of \
                 'payload' out where a guest is to come by vm.receive-migration"
            )));
        }
        let cpus = fields.part("cpus", CPUS)?.unwrap_or(Cpus::of(1));
        if cpus.boot_vcpus != cpus.max_vcpus {
            let (boot, most) = (cpus.boot_vcpus, cpus.max_vcpus);
            return Err(Refusal::bad_request(format!(
                "the field 'cpus.max_vcpus' of {endpoint} is {most} and 'cpus.boot_vcpus' is {boot}; they must be the same, \
                 since no vCPU can be added later"
            )));
        }
        let serial = fields.part("serial", &[])?.map(Serial::try_into).transpose();
        let serial = serial.map_err(|why: &str| {
            Refusal::bad_request(format!("the field 'serial' of {endpoint} cannot be: {why}"))
        })?;
        Ok(Self {
            cpus,
            memory: fields.part("memory", MEMORY)?.unwrap_or(Memory { size: DEFAULT_MEMORY_BYTES }),
            payload,
            serial: serial.unwrap_or(SerialConfig::Null),
            devices: DeviceSet {
                disks: fields.part("disks", DISK)?.unwrap_or_default(),
                net: fields.part("net", NET)?.unwrap_or_default(),
                rng: fields.part("rng", RNG)?.unwrap_or_default(),
                balloon: fields.part("balloon", BALLOON)?,
                vsock: fields.part("vsock", VSOCK)?,
                console: fields.part("console", CONSOLE)?.and_then(Console::port),
                console_ports: fields.part("console_ports", &[])?.unwrap_or_default(),
                pvpanic: fields.part("pvpanic", &[])?.unwrap_or_default(),
            },
        })
    }
}
