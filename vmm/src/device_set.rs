//! The devices that a machine was asked to have, beside those that every machine has.
//!
//! One struct for a machine that is booted and for one that waits for a guest: the latter is given its own side of
//! each device (paths, taps), and the guest's devices must be these. The command line and the API fill it (field names
//! are Cloud Hypervisor's), `machine::wiring` makes the devices.

use std::fmt::Display;

use godwit_devices::PvpanicState;
use godwit_devices::virtio::{
    BalloonConfig, BalloonState, Block, BlockState, ConsoleState, DiskConfig, NetConfig, NetState,
    PortConfig, PortMode, RngConfig, VsockConfig, VsockState,
};
use godwit_state::Schema;
use serde::{Deserialize, Serialize};

use crate::{ConfigError, MachineError};

/// The devices asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceSet {
    /// Disks: `disk0` and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskConfig>,
    /// Network cards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub net: Vec<NetConfig>,
    /// The source of entropy that every machine has: `rng0`.
    pub rng: RngConfig,
    /// The memory balloon: `balloon0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balloon: Option<BalloonConfig>,
    /// Sockets between host and guest: `vsock0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsock: Option<VsockConfig>,
    /// The console of the console device, `console0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<PortConfig>,
    /// Its ports with names. This field is godwit's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub console_ports: Vec<PortConfig>,
    /// The port by which a guest tells that it panicked: `pvpanic`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pvpanic: bool,
}

/// What a device is before it is made, by which a guest's devices and a target's are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOutline {
    /// Which one: `disk0`.
    pub instance: String,
    /// Kind of its saved state: `virtio-blk`.
    pub kind: &'static str,
    /// Most entries of each of its virtio queues.
    pub queue_sizes: Vec<u16>,
}

/// What a user says that decides about a device's queues; nothing where they are always the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// How many there are.
    pub number: Option<&'static str>,
    /// How large they are.
    pub size: Option<&'static str>,
}

impl DeviceSet {
    /// Name of the port for panics.
    pub(crate) const PVPANIC: &str = "pvpanic";
    /// The flag that asks for a device, by the kind of its saved state.
    const FLAGS: &[(&str, &str)] = &[
        (BlockState::KIND, "--disk"),
        (NetState::KIND, "--net"),
        (BalloonState::KIND, "--balloon"),
        (VsockState::KIND, "--vsock"),
        (PvpanicState::KIND, "--pvpanic"),
        (ConsoleState::KIND, "--console"),
    ];
    /// What decides how many queues a device has, and how large they are, where anything does.
    const QUEUES: &[(&str, QueueOptions)] = &[
        (BlockState::KIND, QueueOptions { number: Some("num_queues"), size: Some("queue_size") }),
        (NetState::KIND, QueueOptions { number: Some("num_queues"), size: Some("queue_size") }),
        (BalloonState::KIND, QueueOptions { number: Some("free_page_reporting"), size: None }),
        (ConsoleState::KIND, QueueOptions { number: Some("its ports"), size: None }),
    ];

    /// The flag that asks for a device whose saved state is of `kind`; none for what every machine has.
    #[must_use]
    pub fn flag(kind: &str) -> Option<&'static str> {
        Self::FLAGS.iter().find(|(of, _)| *of == kind).map(|(_, flag)| *flag)
    }

    /// What decides about the queues of a device whose saved state is of `kind`.
    #[must_use]
    pub fn queue_options(kind: &str) -> QueueOptions {
        Self::QUEUES
            .iter()
            .find(|(of, _)| *of == kind)
            .map_or(QueueOptions::default(), |(_, options)| *options)
    }

    /// Whether the values can be: those from JSON have not been looked at. Whether they fit a guest's memory and the
    /// machine's windows is seen when it is made.
    ///
    /// # Errors
    /// The first device that cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        fn each<T, E: Display>(
            of: &[T],
            what: &str,
            check: impl Fn(&T) -> Result<(), E>,
        ) -> Result<(), ConfigError> {
            of.iter().enumerate().try_for_each(|(number, config)| {
                check(config).map_err(|error| ConfigError::Device {
                    device: format!("{what}{number}"),
                    reason: error.to_string(),
                })
            })
        }
        each(&self.disks, "disk", DiskConfig::check)?;
        each(&self.net, "net", NetConfig::check)?;
        each(std::slice::from_ref(&self.rng), "rng", RngConfig::check)?;
        each(self.vsock.as_slice(), "vsock", VsockConfig::check)?;
        each(&self.ports(), "console port ", |port| port.backend().map(drop))
    }

    /// The ports of the console device, by number.
    #[must_use]
    pub fn ports(&self) -> Vec<&PortConfig> {
        self.console.iter().chain(&self.console_ports).collect()
    }

    /// Whether the terminal is the console device's.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.ports().iter().any(|port| port.mode == PortMode::Tty)
    }

    /// Whether nobody else has what only one machine may use at a time; that of these which is in use is told as long as
    /// this process may look at others.
    ///
    /// # Errors
    /// [`MachineError::Claim`].
    pub fn are_free(&self) -> Result<(), MachineError> {
        self.disks.iter().enumerate().try_for_each(|(number, disk)| {
            Block::is_free(disk)
                .map_err(|reason| MachineError::Claim { device: format!("disk{number}"), reason })
        })
    }

    /// What these devices are, in the order of their windows, which is that in which they are saved.
    #[must_use]
    pub fn outlines(&self) -> Vec<DeviceOutline> {
        fn each<T>(
            of: &[T],
            what: &str,
            kind: &'static str,
            queue_sizes: impl Fn(&T) -> Vec<u16>,
        ) -> impl Iterator<Item = DeviceOutline> {
            of.iter().enumerate().map(move |(number, config)| DeviceOutline {
                instance: format!("{what}{number}"),
                kind,
                queue_sizes: queue_sizes(config),
            })
        }
        let disks = each(&self.disks, "disk", BlockState::KIND, DiskConfig::queue_sizes);
        let net = each(&self.net, "net", NetState::KIND, NetConfig::queue_sizes);
        let balloon =
            each(self.balloon.as_slice(), "balloon", BalloonState::KIND, BalloonConfig::queue_sizes);
        let vsock = each(self.vsock.as_slice(), "vsock", VsockState::KIND, VsockConfig::queue_sizes);
        // All ports are of one device.
        let ports = Some(self.ports().len()).filter(|ports| *ports > 0);
        let console =
            each(ports.as_slice(), "console", ConsoleState::KIND, |ports| PortConfig::queue_sizes(*ports));
        let pvpanic = self.pvpanic.then(|| DeviceOutline {
            instance: Self::PVPANIC.into(),
            kind: PvpanicState::KIND,
            queue_sizes: Vec::new(),
        });
        disks.chain(net).chain(balloon).chain(vsock).chain(console).chain(pvpanic).collect()
    }
}
