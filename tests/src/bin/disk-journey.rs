//! Moves a Linux guest there and back while it writes to a disk and reads another, and judges by what the guest read back
//! itself and by what stands in the image afterwards. Made for a host with a complete KVM, as `linux-journey`.
//!
//! `disk-journey KERNEL INITRD`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing that held;
//! ends with a panic at the first harm.

use std::{
    env, fs,
    process::Command,
    time::{Duration, Instant},
};

use godwit_tests::{
    program::{Program, godwit},
    site::{Listen, Site},
    stream::Stream,
    vmm::Vmm,
};

/// How long the guest's kernel may take to boot, and a round of work; the nested host is software.
const BOOT: Duration = Duration::from_secs(90);
const CMDLINE: &str =
    "console=ttyS0 quiet panic=-1 godwit.mem=4M godwit.rate=50 godwit.heartbeat=2 godwit.disk=1";
/// Slots of the first disk and bytes of each, as the guest's `diskwork` has them.
const SLOTS: u64 = 16;
const SLOT_BYTES: usize = 64 << 10;
/// Sizes of the first disk.
const BYTES: u64 = 16 << 20;
const GROWN: u64 = 24 << 20;
/// Rounds of work that are waited for at each place.
const ROUNDS: u64 = 2;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd] = &arguments[..] else { panic!("KERNEL INITRD are wanted: {arguments:?}") };
    let site = Site::open();
    let data = site.holding("data.img", &vec![0; BYTES as usize]);
    let shared = site.holding("shared.img", &slot(99).repeat(4));
    let first = format!("path={data},serial=GW-0001,num_queues=2,queue_size=64");
    // What the guest sees besides comes along with it.
    let again = format!("path={data},num_queues=2,queue_size=64");
    let second = format!("path={},readonly=on,direct=on", block_device(&shared));
    let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", "96M", "--cmdline", CMDLINE];
    let source = site.run(&[&machine[..], &["--disk", &first, "--disk", &second]].concat());
    let mut trail = vec![source.program.out.clone()];
    let _shown = ShownOnFailure(source.program.out.clone(), source.program.err.clone());
    source.program.out.wait_for("linux: disk vda sectors=32768 ro=0 serial=GW-0001", BOOT);
    source.program.out.wait_for("linux: disk vdb sectors=512 ro=1 serial=", BOOT);
    rounds(&trail, ROUNDS);
    println!("two disks: serial, size and readonly as asked for");

    let words = refused(&machine, &first);
    let holder = format!("'{data}' is locked by process {} (", source.program.id().as_raw_nonzero());
    assert!(words.contains(&holder), "{words}");
    println!("a second guest on the image is refused, and told by whom");

    let there = moved(source, &site, &["--disk", &again, "--disk", &second], &mut trail);
    let grown = there.ask(&["resize-disk", "--disk", "disk0", "--size", "24M"]);
    assert_eq!(grown.status, 0, "{}", grown.err);
    let heard = there.program.out.clone();
    heard.wait_for(&format!(" bad=0 sectors={}", GROWN / 512), BOOT);
    println!("the guest saw its disk grow");

    let mut back = moved(there, &site, &["--disk", &again, "--disk", &second], &mut trail);
    rounds(&trail, ROUNDS);
    counted(&back);
    // Last: what the guest writes between this and its end may be where older rounds were.
    let last = rounds(&trail, ROUNDS);
    assert_eq!(back.ask(&["shutdown"]).status, 0);
    assert_eq!(back.end().status, 0);
    let console: String = trail.iter().map(Stream::text).collect();
    let harm = console.lines().find(|line| line.contains("linux: BAD") || line.contains("I/O error"));
    assert!(harm.is_none(), "{harm:?}");
    check_image(&fs::read(&data).expect("the image is there"), last);
    println!("moved twice: {last} rounds of writes, all read back, and in the image");
}

/// A block device of what the file holds.
fn block_device(file: &str) -> &'static str {
    const DEVICE: &str = "/dev/loop0";
    let made = Command::new("losetup").args([DEVICE, file]).status();
    assert!(made.is_ok_and(|status| status.success()), "no loop device");
    DEVICE
}

/// Shows what was heard where the journey fails.
struct ShownOnFailure(Stream, Stream);

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the source's console:\n{}\nits words:\n{}", self.0.text(), self.1.text());
        }
    }
}

/// The guest of `source` moved to a new process with these disks, where it has gone on.
fn moved(mut source: Vmm, site: &Site, disks: &[&str], trail: &mut Vec<Stream>) -> Vmm {
    let target = site.receive(Listen::Tcp, disks);
    let report = source
        .migrate(&target.address(), &["--lanes", "1", "--preset", "precopy", "--downtime", "10s"])
        .completed();
    let left = source.end();
    assert_eq!(left.status, 0, "{}", left.err);
    trail.push(target.program.out.clone());
    let last = rounds(trail, ROUNDS);
    println!(
        "moved in {:.1} s, down for {:.3} s, now in round {last}",
        report.total_s, report.downtime_s.total
    );
    target
}

/// The disks' counters hold the rounds that were waited for where the guest is now: each a slot, written and read back.
fn counted(vmm: &Vmm) {
    for way in ["read", "write"] {
        let [bytes, requests, latency] =
            ["bytes", "ops", "latency_avg"].map(|what| vmm.counter("disk0", &format!("{way}_{what}")));
        println!("the first disk counts: {way} {bytes} bytes, {requests} requests of {latency} µs each");
        assert!(bytes >= ROUNDS * SLOT_BYTES as u64 && requests > 0 && latency > 0);
    }
    assert!(vmm.counter("disk1", "read_bytes") > 0 && vmm.counter("disk1", "write_ops") == 0);
}

/// What `godwit run` says that cannot have this disk.
fn refused(machine: &[&str], disk: &str) -> String {
    let mut command = Command::new(godwit());
    command.arg("run").args(machine).args(["--disk", disk]);
    let ended = Program::start("the second guest", &mut command).end(BOOT);
    assert_eq!(ended.status, 1, "{}", ended.err);
    ended.err
}

/// Waits for `more` rounds of the guest's work than it has told of by now, each after the one before it and without harm;
/// gives the last one.
fn rounds(trail: &[Stream], more: u64) -> u64 {
    let told = || {
        let console: String = trail.iter().map(Stream::text).collect();
        let whole = console.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut last = 0;
        for line in whole.filter_map(|line| line.trim_end().split_once("linux: disk round=")) {
            let (round, rest) = line.1.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            assert!(rest.starts_with("bad=0 "), "{line:?}");
            assert_eq!(round.parse(), Ok(last + 1), "{line:?}");
            last += 1;
        }
        last
    };
    let (begun, before) = (Instant::now(), told());
    loop {
        let now = told();
        if now >= before + more {
            return now;
        }
        assert!(begun.elapsed() < BOOT, "{} rounds of {more}", now - before);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the guest writes in `round`.
fn slot(round: u64) -> Vec<u8> {
    format!("godwit disk round {round}\n").bytes().cycle().take(SLOT_BYTES).collect()
}

/// The rounds up to `last` stand in the image, but for those whose slots the guest may have been writing at its end.
fn check_image(image: &[u8], last: u64) {
    assert_eq!(image.len() as u64, GROWN);
    for round in last.saturating_sub(SLOTS - 4).max(1)..=last {
        let begin = (round % SLOTS) as usize * SLOT_BYTES;
        assert!(image[begin..begin + SLOT_BYTES] == slot(round), "round {round} is not in the image");
    }
}
