//! Two hosts and a network between them, on one kernel: each host is a network namespace with a bridge and a tap, and a
//! cable to a switch, to which the clients' machine is plugged, too.

use std::{fs::File, net::Ipv4Addr, os::fd::AsFd, process::Command, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::program::Program;

/// Where the guest is reached.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The clients' machine is this one, its programs are in a Debian of their own.
const CLIENTS_DISK: &str = "/dev/vdb";
const CLIENTS_ROOT: &str = "/debian";
const CLIENTS_ADDRESS: &str = "10.0.0.1/24";

/// A host of guests.
pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) address: Ipv4Addr,
    /// For its guest, on its bridge.
    pub(super) tap: &'static str,
    network: File,
}

impl Host {
    fn new(name: &'static str, address: Ipv4Addr) -> Self {
        let tap = "tap0";
        ip(&format!("netns add {name}"));
        ip(&format!("link add cable{name} type veth peer name cable netns {name}"));
        ip(&format!("link set cable{name} up master switch"));
        let path = format!("{CLIENTS_ROOT}/run/netns/{name}");
        let host =
            Self { name, address, tap, network: File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}")) };
        host.inside(|| {
            ip("link set lo up");
            ip("link add bridge type bridge");
            ip(&format!("addr add {address}/24 dev bridge"));
            ip("link set bridge up");
            ip(&format!("tuntap add {tap} mode tap"));
            for port in ["cable", tap] {
                ip(&format!("link set {port} up master bridge"));
            }
        });
        host
    }

    /// Does `work` on a thread that has this host's network, as has what it starts.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network))
                .unwrap_or_else(|error| panic!("the network of host {}: {error}", self.name));
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join())
            .unwrap_or_else(|harm| std::panic::resume_unwind(harm))
    }
}

/// The whole network.
pub(super) struct Lan {
    pub(super) hosts: [Host; 2],
}

impl Lan {
    /// Plugs it together.
    pub(super) fn new() -> Self {
        run(Command::new("mkdir").args(["-p", CLIENTS_ROOT]));
        run(Command::new("mount").args(["-t", "ext4", CLIENTS_DISK, CLIENTS_ROOT]));
        for folder in ["dev", "proc", "sys"] {
            run(Command::new("mount").args([
                "--bind",
                &format!("/{folder}"),
                &format!("{CLIENTS_ROOT}/{folder}"),
            ]));
        }
        run(Command::new("mount").args(["-t", "tmpfs", "run", &format!("{CLIENTS_ROOT}/run")]));
        ip("link add switch type bridge");
        ip(&format!("addr add {CLIENTS_ADDRESS} dev switch"));
        ip("link set switch up");
        Self {
            hosts: [Host::new("a", Ipv4Addr::new(10, 0, 0, 11)), Host::new("b", Ipv4Addr::new(10, 0, 0, 12))],
        }
    }

    pub(super) fn clients(&self) -> Clients {
        Clients(())
    }
}

/// The clients' machine.
pub struct Clients(());

impl Clients {
    /// Starts a shell's `command` there; it becomes the shell's last one.
    #[must_use]
    pub fn start(&self, name: &str, command: &str) -> Program {
        // Folders of the nested host are not there.
        let mut program = Command::new("chroot");
        program.args([CLIENTS_ROOT, "/bin/sh", "-c", command]).env_remove("TMPDIR").env("HOME", "/tmp");
        Program::start(name, &mut program)
    }

    /// A path there as this process sees it.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{CLIENTS_ROOT}{path}")
    }
}

/// `ip` with these arguments, in the network of the thread that calls. By its path: busybox has one that makes no such links.
fn ip(arguments: &str) {
    run(Command::new("chroot").args([CLIENTS_ROOT, "/bin/ip"]).args(arguments.split(' ')));
}

/// Runs a command that must work.
fn run(command: &mut Command) {
    let said = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
}
