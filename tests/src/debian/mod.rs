//! A whole Debian as a guest, with every device, on two hosts that share its disks and a network: root types at its serial
//! console, clients reach it from outside, and it moves there and back. Made for a machine of the test's own, the nested
//! host, which has the guest's disk as `/dev/vda` and another copy of it, for the clients' programs, as `/dev/vdb`.

mod hosts;

pub use self::hosts::{Clients, GUEST};

use std::{
    mem, thread,
    time::{Duration, Instant},
};

use godwit_migration::report::Report;

use self::hosts::{Host, Lan};
use crate::{
    shell::Shell,
    site::{Site, text},
    stream::Stream,
    vmm::{Migration, Vmm},
};

/// Longest wait for one thing; the guest is in an emulator's emulator.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// The guest's disk, a block device that both hosts have.
const ROOT: &str = "/dev/vda";
/// Size of the second disk, which the journeys work on.
pub const DATA_BYTES: u64 = 32 << 20;
const MEMORY: &str = "384M";
const MAC: &str = "52:54:00:64:65:62";
/// Its network interface keeps the name that the kernel gives it. The kernel's word of a stall would fall into the
/// middle of an answer. A kernel that zeroes what it hands out writes to all of its free memory to say that it is free
/// (docs/devices.md), which takes an emulator's emulator half a minute.
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0 net.ifnames=0 \
    rcupdate.rcu_cpu_stall_suppress=1 systemd.show_status=0 godwit.root=vda godwit.ip=10.0.0.2/24";
/// What is given a move in the nested host: it has one CPU for everybody, and no slow link for which to compress.
const MOVE: [&str; 7] = ["--insecure", "--lanes", "1", "--encode", "zero", "--downtime", "2s"];

/// The guest, where it is now.
pub struct Debian {
    site: Site,
    lan: Lan,
    at: usize,
    vmm: Vmm,
    shell: Shell,
    trail: Vec<Stream>,
    /// A report for each move.
    pub moves: Vec<Report>,
}

impl Debian {
    /// Boots it at the first host, to a login.
    ///
    /// # Panics
    /// Where it does not come up.
    #[must_use]
    pub fn boot(kernel: &str, initrd: &str) -> Self {
        let site = Site::open();
        let lan = Lan::new();
        drop(site.holding("data.img", &vec![0; DATA_BYTES as usize]));
        let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", MEMORY, "--cmdline", CMDLINE];
        let devices = devices(&site, &lan.hosts[0]);
        let arguments: Vec<&str> = machine.into_iter().chain(devices.iter().map(String::as_str)).collect();
        let begun = Instant::now();
        let mut vmm = lan.hosts[0].inside(|| site.run(&arguments));
        let trail = vec![vmm.program.out.clone()];
        let shown = ShownOnFailure(trail.clone(), vmm.program.err.clone());
        let shell = Shell::of_debian(&mut vmm, PATIENCE);
        println!("a root shell {:.1} s after the guest's start", begun.elapsed().as_secs_f64());
        drop(shown);
        Self { site, lan, at: 0, vmm, shell, trail, moves: Vec::new() }
    }

    /// Runs `command` in the guest's shell, and gives what it printed. It must be over before the guest moves on.
    ///
    /// # Panics
    /// Where it fails, or does not end.
    pub fn run(&mut self, command: &str) -> String {
        self.shell.run(&mut self.vmm, command, PATIENCE)
    }

    /// Programs outside, on the guests' network.
    #[must_use]
    pub fn clients(&self) -> Clients {
        self.lan.clients()
    }

    /// The process in which the guest is.
    #[must_use]
    pub fn vmm(&self) -> &Vmm {
        &self.vmm
    }

    /// The host's end of a device with a socket, where the guest is now.
    #[must_use]
    pub fn socket(&self, device: &str) -> String {
        socket(&self.site, &self.lan.hosts[self.at], device)
    }

    /// The image of the second disk.
    #[must_use]
    pub fn data(&self) -> String {
        text(&self.site.file("data.img"))
    }

    /// Moves the guest to the other host.
    ///
    /// # Panics
    /// Where the migration does not complete, or the source does not end well.
    pub fn hop(&mut self) -> &Report {
        let to = &self.lan.hosts[1 - self.at];
        let mut arguments = devices(&self.site, to);
        arguments.push("--insecure".to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let listen = format!("tcp:{}:0", to.address);
        let target = to.inside(|| self.site.receive_at(&listen, &arguments));
        self.trail.push(target.program.out.clone());
        let mut migration = self.vmm.begin_migration(&target.address(), &MOVE);
        let migration = Migration::end_within(&mut migration, 2 * PATIENCE);
        if migration.ended.status != 0 {
            println!("the target said: {}", target.program.err.text());
        }
        let report = migration.completed();
        let mut source = mem::replace(&mut self.vmm, target);
        let left = source.end();
        assert_eq!(left.status, 0, "{}", left.err);
        self.at = 1 - self.at;
        println!(
            "  moved to host {}: {:.1} s, {} MiB, down for {:.0} ms",
            self.lan.hosts[self.at].name,
            report.total_s,
            report.bytes.wire >> 20,
            report.downtime_s.total * 1e3
        );
        self.moves.push(report);
        &self.moves[self.moves.len() - 1]
    }

    /// Switches it off from inside, and looks for what its kernel had to complain about.
    ///
    /// # Panics
    /// Where it does not end well, or has complained.
    pub fn power_off(mut self) {
        let said = self.run("dmesg --level=emerg,alert,crit,err || true");
        assert!(!said.contains("I/O error") && !said.contains("EXT4-fs error"), "its kernel said: {said}");
        self.vmm.program.write("systemctl poweroff\n");
        let ended = self.vmm.program.end(PATIENCE);
        assert_eq!(ended.status, 0, "{}", ended.err);
        println!("switched off in order");
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        drop(ShownOnFailure(mem::take(&mut self.trail), self.vmm.program.err.clone()));
    }
}

/// Shows what was heard where a journey fails: the guest's console, and its process's words.
struct ShownOnFailure(Vec<Stream>, Stream);

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if thread::panicking() {
            let console: String = self.0.iter().map(Stream::text).collect();
            println!("the guest's console:\n{console}\nwords of its process:\n{}", self.1.text());
        }
    }
}

fn socket(site: &Site, host: &Host, device: &str) -> String {
    text(&site.file(&format!("{}.{device}", host.name)))
}

/// One of every device, with its back end at `host`.
fn devices(site: &Site, host: &Host) -> Vec<String> {
    let socket = |device: &str| socket(site, host, device);
    let pairs = [
        ("--disk", format!("path={ROOT},direct=on")),
        ("--disk", format!("path={},num_queues=2", text(&site.file("data.img")))),
        ("--net", format!("tap={},mac={MAC}", host.tap)),
        ("--balloon", "size=0".to_owned()),
        ("--vsock", format!("cid=3,socket={}", socket("vsock"))),
        ("--console", format!("socket={}", socket("hvc0"))),
        ("--console", format!("name=agent,socket={}", socket("agent"))),
    ];
    let flags = pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    flags.chain(["--pvpanic".to_owned()]).collect()
}
