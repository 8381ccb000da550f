//! Moves a Linux guest that has most of its memory free, asks it for memory, and judges by what it says of its memory
//! itself. Made for a host with a complete KVM, as `linux-journey`.
//!
//! `balloon-journey KERNEL INITRD`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing that held;
//! ends with a panic at the first harm.

use std::{
    env,
    time::{Duration, Instant},
};

use godwit_migration::report::Report;
use godwit_tests::{
    linux::judge,
    site::{Listen, Site},
    stream::Stream,
    vmm::Vmm,
};

/// How long the guest's kernel may take to boot, and to give memory back; the nested host is software.
const PATIENCE: Duration = Duration::from_secs(150);
const MIB: u64 = 1 << 20;
/// What the guest has, and what of it was used once and is free again: half of its memory can be files.
const MEMORY: u64 = 224;
const FREED: u64 = 64;
const BALLOON: u64 = 32;
/// What the guest may use and free by itself between two looks.
const SLACK: u64 = 16;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd] = &arguments[..] else { panic!("KERNEL INITRD are wanted: {arguments:?}") };
    let site = Site::open();
    hinting(&site, kernel, initrd);
}

/// A guest whose free pages are asked for by a migration, with a balloon that is then filled and moves on.
fn hinting(site: &Site, kernel: &str, initrd: &str) {
    let balloon = ["--balloon", "size=0"];
    let mut source = boot(site, kernel, initrd, MEMORY, FREED, &balloon);
    let _shown = ShownOnFailure(source.program.out.clone(), source.program.err.clone());
    let mut consoles = vec![source.program.out.clone()];
    source.wait_beats(2);
    let free_before = counter(&source, "free_memory");
    assert!(free_before > FREED * MIB, "{free_before}");
    let used = MEMORY * MIB - free_before;

    let target = site.receive(Listen::Tcp, &balloon);
    let report = moved(&mut source, &target);
    let before = Stream::joined(&consoles).len();
    consoles.push(target.program.out.clone());
    // Every page that was free would have been sent: its last user left something in it.
    assert!(report.pages.free * 4096 > (FREED - SLACK) * MIB, "{:?}", report.pages);
    let limit = used + SLACK * MIB;
    assert!(report.bytes.wire < limit, "{} bytes went, not {limit}", report.bytes.wire);
    target.wait_beats(2);
    println!(
        "a guest of {MEMORY} MiB with {} MiB free: {} MiB went, {} MiB of free pages did not",
        free_before / MIB,
        report.bytes.wire / MIB,
        report.pages.free * 4096 / MIB
    );
    wait("the guest has its free memory again", || {
        counter(&target, "free_memory") + SLACK * MIB > free_before
    });
    println!("what was set aside to be named is the guest's again");

    resize(&target, "32M");
    wait("the balloon is full", || counter(&target, "actual") == BALLOON * MIB);
    let mut target = target;
    let last = site.receive(Listen::Tcp, &["--balloon", "size=0"]);
    let report = moved(&mut target, &last);
    consoles.push(last.program.out.clone());
    println!("moved with its balloon: {} MiB went", report.bytes.wire / MIB);
    assert_eq!((counter(&last, "actual"), counter(&last, "target")), (BALLOON * MIB, BALLOON * MIB));
    let free = counter(&last, "free_memory");
    resize(&last, "0");
    wait("the balloon is empty", || counter(&last, "actual") == 0);
    let now = counter(&last, "free_memory");
    assert!(now + SLACK * MIB > free + BALLOON * MIB, "{free} bytes free with the balloon, {now} without");
    last.wait_more_beats(2);
    let unharmed = judge(&Stream::joined(&consoles), before, 1).unwrap_or_else(|harm| panic!("{harm}"));
    println!("unharmed: {} heartbeats", unharmed.beats.len());
    end(last);
}

/// A guest that runs, having used and freed so many MiB.
fn boot(site: &Site, kernel: &str, initrd: &str, memory: u64, freed: u64, balloon: &[&str]) -> Vmm {
    // A kernel that zeroes what it hands out would leave nothing behind that is worth not sending.
    let cmdline = format!(
        "console=ttyS0 quiet panic=-1 init_on_alloc=0 godwit.mem=4M godwit.rate=50 godwit.heartbeat=1 \
         godwit.freed={freed}"
    );
    let memory = format!("{memory}M");
    let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", &memory, "--cmdline", &cmdline];
    let vmm = site.run(&[&machine[..], balloon].concat());
    vmm.program.out.wait_for(&format!("linux: used {freed} MiB, and freed them"), PATIENCE);
    vmm.program.out.wait_for("linux: READY", PATIENCE);
    vmm
}

fn moved(source: &mut Vmm, target: &Vmm) -> Report {
    let report = source.migrate(&target.address(), &["--lanes", "1", "--downtime", "5s"]).completed();
    let left = source.end();
    assert_eq!(left.status, 0, "{}", left.err);
    report
}

fn resize(vmm: &Vmm, size: &str) {
    let said = vmm.ask(&["resize", "--balloon", size]);
    assert_eq!(said.status, 0, "{}", said.err);
}

/// What the guest, or its balloon, tells now.
fn counter(vmm: &Vmm, name: &str) -> u64 {
    vmm.counter("balloon0", name)
}

fn wait(what: &str, held: impl Fn() -> bool) {
    let begun = Instant::now();
    while !held() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn end(mut vmm: Vmm) {
    assert_eq!(vmm.ask(&["shutdown"]).status, 0);
    assert_eq!(vmm.end().status, 0);
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
