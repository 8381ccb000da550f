//! A guest with one of every device, or one device alone, on a bridge of this host: it has a shell, and moves.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::UnixListener,
    path::Path,
    thread,
    time::Duration,
};

use godwit_migration::report::Report;
use godwit_tests::{
    network::{Traffic, bridge},
    shell::Shell,
    site::{Listen, Site, text},
    stream::Stream,
    vmm::Vmm,
};

/// Longest wait for one thing; the nested host is software.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Serial number of the disk.
pub const SERIAL: &str = "GW-DRIVERS";
/// Where the guest connects to on the host, as its `vsockwork` has it.
const HOST_PORT: u32 = 5001;
const MAC: &str = "52:54:00:64:72:76";
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The kernel's word of a stall would fall into the middle of an answer.
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 init_on_alloc=0 rcupdate.rcu_cpu_stall_suppress=1 \
    godwit.shell=1 godwit.mem=4M godwit.rate=50";
/// And with a network card.
const NETWORK: &str = "godwit.echo=7 godwit.ip=10.0.0.2/24";
/// The option that asks for a network card.
const CARD: &str = "--net";
const DISK_BYTES: usize = 16 << 20;
/// What the guest's kernel says of itself where a driver or a device did it harm.
const HARM: &str = "BUG:|Oops|WARNING:|blocked for more than|timed out|nobody cared|device error|broken";

/// The guest, where it is now.
pub struct Guest {
    site: Site,
    disk: String,
    /// The option of its only device, where it has only one.
    alone: Option<&'static str>,
    vmm: Vmm,
    shell: Shell,
    /// Moves so far; each place has its own tap and sockets.
    moves: usize,
    trail: Vec<Stream>,
    /// A stream to the guest and back, once there is one.
    traffic: Option<Traffic>,
}

impl Guest {
    /// Boots it to a shell, with every device or with that of the option `alone` (an option that is none of theirs is a guest
    /// with what every machine has).
    pub fn boot(kernel: &str, initrd: &str, alone: Option<&'static str>) -> Self {
        let site = Site::open();
        let disk = site.holding("disk.img", &vec![0; DISK_BYTES]);
        let network = if alone.is_none_or(|option| option == CARD) { NETWORK } else { "" };
        let cmdline = format!("{CMDLINE} {network}");
        let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", "128M", "--cmdline", &cmdline];
        let own = devices(&site, &disk, 0, alone);
        let arguments: Vec<&str> = machine.into_iter().chain(own.iter().map(String::as_str)).collect();
        let mut vmm = site.run(&arguments);
        let trail = vec![vmm.program.out.clone(), vmm.program.err.clone()];
        let shell = Shell::of_busybox(&mut vmm, PATIENCE);
        Self { site, disk, alone, vmm, shell, moves: 0, trail, traffic: None }
    }

    /// Runs `command` in the guest's shell, and gives what it printed.
    pub fn run(&mut self, command: &str) -> String {
        self.shell.run(&mut self.vmm, command, PATIENCE)
    }

    /// Moves it to a new process.
    pub fn moved(&mut self, options: &[&str]) -> Report {
        let own = devices(&self.site, &self.disk, self.moves + 1, self.alone);
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let target = self.site.receive(Listen::Tcp, &own);
        self.trail.extend([target.program.out.clone(), target.program.err.clone()]);
        let simply = ["--lanes", "1", "--preset", "precopy", "--encode", "zero", "--downtime", "10s"];
        let report = self.vmm.migrate(&target.address(), &[&simply, options].concat()).completed();
        let left = self.vmm.end();
        assert_eq!(left.status, 0, "{}", left.err);
        (self.vmm, self.moves) = (target, self.moves + 1);
        report
    }

    /// The stream through its network card.
    pub fn traffic(&mut self) -> &Traffic {
        self.traffic.get_or_insert_with(|| Traffic::start(SocketAddr::from((GUEST, 7))))
    }

    /// The socket of a console's port, where the guest is now.
    pub fn port(&self, name: &str) -> String {
        text(&self.site.file(&format!("{name}{}", self.moves)))
    }

    /// Asks the balloon for so much memory, as `godwit resize` has it.
    pub fn resize_balloon(&self, size: &str) {
        let said = self.vmm.ask(&["resize", "--balloon", size]);
        assert_eq!(said.status, 0, "{}", said.err);
    }

    /// Memory that the balloon has, in bytes.
    pub fn balloon_bytes(&self) -> u64 {
        self.vmm.counter("balloon0", "actual")
    }

    /// Its end, by its power button; it must have come to no harm.
    pub fn end(mut self) {
        if let Some(traffic) = self.traffic.take() {
            println!("{} bytes there and back by one stream", traffic.end());
        }
        let harm = self.run(&format!("dmesg | grep -E '{HARM}'; true"));
        assert!(harm.is_empty(), "{harm}");
        assert_eq!(self.vmm.ask(&["shutdown"]).status, 0);
        assert_eq!(self.vmm.end().status, 0);
    }
}

impl Drop for Guest {
    /// Shows what was heard where the journey fails.
    fn drop(&mut self) {
        if thread::panicking() {
            self.trail.iter().for_each(|stream| println!("{}\n---", stream.text()));
        }
    }
}

/// The host's side of all guests' network cards.
pub fn bridge_taps() {
    bridge("br0", "10.0.0.1/24", &["tap0", "tap1"]);
}

/// The devices at the guest's `place`-th place, or the one of the option `alone`, as options.
fn devices(site: &Site, disk: &str, place: usize, alone: Option<&str>) -> Vec<String> {
    let file = |name: &str| text(&site.file(&format!("{name}{place}")));
    let vsock = file("vsock");
    echo_at(Path::new(&vsock));
    let options = [
        ("--disk", format!("path={disk},serial={SERIAL},num_queues=2")),
        (CARD, format!("tap=tap{}", place % 2)),
        ("--balloon", "size=0".into()),
        ("--vsock", format!("cid=3,socket={vsock}")),
        ("--console", format!("socket={}", file("hvc"))),
        ("--console", format!("name=agent,socket={}", file("agent"))),
    ];
    let wanted = options.into_iter().filter(|(option, _)| alone.is_none_or(|alone| alone == *option));
    let mut options: Vec<_> = wanted.flat_map(|(option, value)| [option.to_owned(), value]).collect();
    if place == 0 {
        // A guest that moves keeps its own.
        options
            .iter_mut()
            .filter(|value| value.starts_with("tap="))
            .for_each(|card| *card += &format!(",mac={MAC}"));
    }
    options
}

/// Sends back what a guest with its device's socket at `device` sends.
fn echo_at(device: &Path) {
    let listener =
        UnixListener::bind(format!("{}_{HOST_PORT}", device.display())).expect("the folder is ours");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut from, mut to) = (&stream, &stream);
                std::io::copy(&mut from, &mut to)
            });
        }
    });
}
