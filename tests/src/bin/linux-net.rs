//! Moves a Linux guest there and back while its network is in use, and judges by what comes back from it. Made for a
//! host of its own with a complete KVM: the nested host.
//!
//! `linux-net KERNEL INITRD [several]`, with `GODWIT_BIN` naming the program under test; `several` has the card have several
//! pairs of queues. Prints what it saw; ends with a panic at the first harm.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use godwit_migration::report::{Outcome, Report};
use godwit_tests::{
    linux::judge,
    network::{Announcements, Pings, Traffic, bridge, join, queues},
    program::has,
    site::{Listen, Site},
    stream::{Line, Stream},
    vmm::Vmm,
};

/// How long the guest's kernel may take to boot; the nested host is software.
const BOOT: Duration = Duration::from_secs(90);
/// Longest wait for something on the network.
const PATIENCE: Duration = Duration::from_secs(90);
const MAC: &str = "52:54:00:12:34:56";
const MAC_BYTES: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 godwit.mem=4M godwit.rate=200 godwit.heartbeat=0.5 \
    godwit.ip=10.0.0.2/24 godwit.echo=7";
const PING_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes that come back between two moves.
const BYTES: u64 = 512 << 10;
/// Announcements by the host after each move.
const ANNOUNCEMENTS: usize = 5;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (kernel, initrd, cards) = match &arguments[..] {
        [kernel, initrd] => (kernel, initrd, Cards::OnePair),
        [kernel, initrd, word] if word == "several" => (kernel, initrd, Cards::SeveralPairs),
        _ => panic!("KERNEL INITRD [several] are wanted: {arguments:?}"),
    };
    cards.bridge();
    let site = Site::open();
    let card = format!("{},mac={MAC}", cards.on("tap0"));
    let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", "192M", "--cmdline", CMDLINE];
    let source = site.run(&[&machine[..], &["--cpus", &cards.cpus().to_string(), "--net", &card]].concat());
    let shown = ShownOnFailure(vec![source.program.out.clone(), source.program.err.clone()]);
    source.program.out.wait_for(&format!("linux: eth0=10.0.0.2/24 mac={MAC}"), BOOT);
    source.program.out.wait_for("linux: echo on port 7", BOOT);
    source.wait_beats(2);
    cards.see_used("tap0");

    let guest = SocketAddr::from((GUEST, 7));
    let heard = Announcements::of(MAC_BYTES, GUEST);
    let traffic = Traffic::start(guest);
    let pings = Pings::start(guest, PING_INTERVAL);
    until_checked(&traffic, BYTES);

    let without = site.receive(Listen::Tcp, &[]);
    let refused = source.migrate(&without.address(), &[]);
    has(refused.failed(Outcome::Failed), &["the guest has 'net0' ('virtio-net')", "--net"]);
    drop(without);

    let before = Stream::joined(std::slice::from_ref(&source.program.out)).len();
    let there = site.receive(Listen::Tcp, &["--net", &cards.on("tap1")]);
    let (there, first) = moved(source, there, &traffic, &heard);
    cards.see_used("tap1");
    let back = site.receive(Listen::Tcp, &["--net", &cards.on("tap0")]);
    let consoles = [shown.0[0].clone(), there.program.out.clone(), back.program.out.clone()];
    let (back, second) = moved(there, back, &traffic, &heard);

    let answers = pings.end();
    counted(&back, "tap0", BYTES);
    let bytes = traffic.end();
    back.wait_beats(3);
    let lines: Vec<Line> = Stream::joined(&consoles);
    let unharmed = judge(&lines, before, cards.cpus()).unwrap_or_else(|harm| panic!("{harm}"));
    println!("network: {bytes} bytes there and back, {answers:?}");
    println!("  {} heartbeats, longest gap {:?}", unharmed.beats.len(), unharmed.moving_gap);
    for report in [first, second] {
        println!("  moved: downtime {:.3} s, total {:.3} s", report.downtime_s.total, report.total_s);
    }
    assert!(answers.answered > 0, "datagrams came back");
    println!("network moved twice");
}

/// What cards the guest meets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cards {
    /// On taps that are there.
    OnePair,
    /// Three, of which a guest of two CPUs uses two, on taps that the program makes.
    SeveralPairs,
}

impl Cards {
    /// Makes the bridge, which the taps belong to as soon as they are there.
    fn bridge(self) {
        match self {
            Self::OnePair => bridge("br0", "10.0.0.1/24", &["tap0", "tap1"]),
            Self::SeveralPairs => {
                bridge("br0", "10.0.0.1/24", &[]);
                thread::spawn(|| {
                    loop {
                        ["tap0", "tap1"].into_iter().for_each(|tap| join("br0", tap));
                        thread::sleep(Duration::from_millis(20));
                    }
                });
            }
        }
    }

    fn on(self, tap: &str) -> String {
        match self {
            Self::OnePair => format!("tap={tap}"),
            Self::SeveralPairs => format!("tap={tap},num_queues=6"),
        }
    }

    /// CPUs of the guest.
    fn cpus(self) -> u64 {
        match self {
            Self::OnePair => 1,
            Self::SeveralPairs => 2,
        }
    }

    /// The host uses as many queues of a tap as the guest does.
    fn see_used(self, tap: &str) {
        let wanted = if self == Self::OnePair { 1 } else { 2 };
        wait(&format!("{wanted} queues of {tap}, not {}", queues(tap)), || queues(tap) == wanted);
        println!("{tap}: {wanted} queues are used");
    }
}

/// Shows what was heard where the journey fails.
struct ShownOnFailure(Vec<Stream>);

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.iter().for_each(|stream| println!("{}", stream.text()));
        }
    }
}

/// Moves the guest, and sees its network go on from where it is now.
fn moved(mut source: Vmm, target: Vmm, traffic: &Traffic, heard: &Announcements) -> (Vmm, Report) {
    let silent = heard.count();
    let _words = ShownOnFailure(vec![target.program.out.clone(), target.program.err.clone()]);
    let report = source.migrate(&target.address(), &["--downtime", "1s"]).completed();
    let left = source.end();
    assert_eq!(left.status, 0, "{}", left.err);
    until_checked(traffic, traffic.checked() + BYTES);
    // A guest that is slow answers several requests at once.
    let since = || {
        let now = heard.count();
        (now.rarp - silent.rarp, now.gratuitous - silent.gratuitous)
    };
    let all = |(host, guest)| host >= ANNOUNCEMENTS && guest > 0;
    let end = Instant::now() + PATIENCE;
    while !all(since()) {
        assert!(Instant::now() < end, "{:?} announcements by host and guest", since());
        thread::sleep(Duration::from_millis(20));
    }
    println!("{:?} announcements by host and guest", since());
    (target, report)
}

/// The card's counters come to `bytes` each way while the stream goes on, and to no more than its tap's own.
fn counted(vmm: &Vmm, tap: &str, bytes: u64) {
    let card = |name: &str| vmm.counter("net0", name);
    wait(&format!("{bytes} bytes each way, as the card counts"), || {
        card("rx_bytes") >= bytes && card("tx_bytes") >= bytes
    });
    // What the guest receives its tap sends.
    for (own, taps) in [("rx", "tx"), ("tx", "rx")] {
        let (bytes, frames) = (card(&format!("{own}_bytes")), card(&format!("{own}_frames")));
        let path = format!("/sys/class/net/{tap}/statistics/{taps}_bytes");
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let most: u64 = text.trim().parse().unwrap_or_else(|e| panic!("{path}: {e}: {text}"));
        assert!(bytes <= most && frames > 0, "{own}: {bytes} bytes, {frames} frames; {most} by its tap");
        println!("the card counts {own}: {bytes} bytes in {frames} frames");
    }
}

fn until_checked(traffic: &Traffic, bytes: u64) {
    let before = traffic.checked();
    let what = format!("{bytes} bytes that came back, after {before},");
    wait(&what, || traffic.checked() >= bytes);
    println!("{} bytes came back", traffic.checked());
}

fn wait(what: &str, there: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < end, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
