//! Moves Linux guests, each from one process to another over TCP on this host, and judges by what they say themselves.
//! Made for a host with a complete KVM: the nested host, or a machine with hardware virtualization.
//!
//! `linux-journey KERNEL INITRD CPUS[,CPUS…]`, with `GODWIT_BIN` naming the program under test. Prints a line for each
//! guest that came through; ends with a panic at the first harm.

use std::{
    env,
    time::{Duration, Instant},
};

use godwit_tests::{
    linux::{Harm, Unharmed, all_at_work, judge},
    relay::{Relay, Words},
    site::{Listen, Site},
    stream::{Line, Stream},
    vmm::Vmm,
};

/// How long the guest's kernel may take to boot; the nested host is software.
const BOOT: Duration = Duration::from_secs(90);
/// How long the guest may take to end after its power button was pressed.
const POWER_OFF: Duration = Duration::from_secs(60);
/// Heartbeats before the move and after it, at least.
const BEATS: usize = 4;
/// How long a guest that is short of CPU time may take to show that all of it is at work.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the kernel says of a stall that the emulator makes would fall into the middle of a heartbeat, which judges the
/// stall itself.
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 rcupdate.rcu_cpu_stall_suppress=1 nosoftlockup godwit.mem=16M \
    godwit.rate=500 godwit.heartbeat=0.5";

/// How a guest is moved.
struct How {
    lanes: &'static str,
    /// What it may stand still for: software that stands in for hardware takes ten to fifty times what that does.
    budget: &'static str,
    /// What it is made to stand still for at least, by a wire that is slow to answer. Were its clocks not set right
    /// after that, they would show it.
    standstill: Duration,
}

const QUICK: How = How { lanes: "1", budget: "1s", standstill: Duration::ZERO };
/// The wire makes every round look long, so the budget must be large to stop at all.
const SLOW: How = How { lanes: "2", budget: "30s", standstill: Duration::from_secs(1) };

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd, cpus] = &arguments[..] else {
        panic!("KERNEL INITRD CPUS are wanted: {arguments:?}")
    };
    let site = Site::open();
    for (number, cpus) in cpus.split(',').enumerate() {
        let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", "192M", "--cpus", cpus];
        moved(&site, &machine, cpus, if number == 0 { &QUICK } else { &SLOW });
    }
    ended_by_itself(&site, &["--kernel", kernel, "--initrd", initrd, "--memory", "192M"]);
}

/// Shows what was heard where the journey fails: what a guest that died has said tells why, and so do its VMM's words.
struct ShownOnFailure {
    what: &'static str,
    heard: Stream,
}

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}:\n{}", self.what, self.heard.text());
        }
    }
}

/// A guest that moves while it works, is typed to, and ends by its power button.
fn moved(site: &Site, machine: &[&str], cpus: &str, how: &How) {
    let mut source = site.run(&[machine, &["--cmdline", CMDLINE]].concat());
    let _words = ShownOnFailure { what: "the source's words", heard: source.program.err.clone() };
    let _console = ShownOnFailure { what: "the source's console", heard: source.program.out.clone() };
    let ready = format!("linux: READY cpus={cpus} ");
    source.program.out.wait_for(&ready, BOOT);
    source.program.out.wait_for("linux: hwrng=virtio_rng.0 bytes=16", BOOT);
    let generation = generation(&source);
    source.wait_beats(BEATS);
    let cpu_count = cpus.parse().expect("CPUS are numbers");
    patiently(&source, |lines| {
        all_at_work(lines, cpu_count).then_some(()).ok_or("its CPUs are not all at work")
    });
    let mut target = site.receive(Listen::Tcp, &[]);
    let address = target.address();
    // The target's `Ready` is what a guest that stands still waits for.
    let relay = Relay::slow_to_answer(Words::All, how.standstill, &address);
    let report =
        source.migrate(&relay.address(), &["--lanes", how.lanes, "--downtime", how.budget]).completed();
    let left = source.end();
    assert_eq!(left.status, 0, "{}", left.err);
    let before = Stream::joined(&[source.program.out.clone()]).len();
    target.wait_beats(BEATS);
    target.program.write("hello\n");
    target.program.out.wait_for("linux: input hello", POWER_OFF);
    target.program.write("generation\n");
    assert_eq!(self::generation(&target), generation, "a guest that moves is the same guest");
    let down = report.downtime_s.total;
    assert!(down >= how.standstill.as_secs_f64(), "the wire was to make it stand still: {report:#?}");
    let unharmed = judged(&source, &target, before, cpu_count);
    assert_eq!(target.ask(&["shutdown", "--power-button"]).status, 0);
    target.program.out.wait_for("linux: POWER BUTTON", POWER_OFF);
    let ended = target.program.end(POWER_OFF);
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(ended.err.contains("the guest powered off"), "{}", ended.err);
    let gap = unharmed.beats.iter().map(|beat| beat.gap).max().unwrap_or_default();
    println!("moved cpus={cpus} lanes={}: {} heartbeats", how.lanes, unharmed.beats.len());
    println!("  longest gap {gap:?}, since the move {:?}", unharmed.moving_gap);
    println!(
        "  reported downtime {:.3} s, total {:.3} s, {} rounds",
        down,
        report.total_s,
        report.rounds.len()
    );
    println!("  clock {:.3} s late before and {:.3} s after", unharmed.late_s.0, unharmed.late_s.1);
    println!("  generation={generation}");
}

/// What the guest tells here of its generation: the device that its kernel's driver has, and how often it was told of a new one.
fn generation(vmm: &Vmm) -> String {
    vmm.program.out.wait("its generation", BOOT, |heard| {
        let (line, _) = heard.split_once("linux: generation=")?.1.split_once('\n')?;
        Some(line.trim_end().to_owned())
    })
}

fn judged(source: &Vmm, target: &Vmm, before: usize, cpus: u64) -> Unharmed {
    let all = || Stream::joined(&[source.program.out.clone(), target.program.out.clone()]);
    let shown = |harm: Harm| {
        let lines = all();
        let text: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        format!("{harm}\n{}", text.join("\n"))
    };
    patiently(target, |_| match judge(&all(), before, cpus) {
        Err(harm @ Harm::Done(_)) => panic!("{}", shown(harm)),
        Err(harm @ Harm::NotYet(_)) => Err(shown(harm)),
        Ok(unharmed) => Ok(unharmed),
    })
}

/// Judges what `vmm`'s guest has said, again with every heartbeat, until it is good or patience is at its end.
fn patiently<T, E: std::fmt::Display>(vmm: &Vmm, verdict: impl Fn(&[Line]) -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match verdict(&Stream::joined(std::slice::from_ref(&vmm.program.out))) {
            Ok(good) => return good,
            Err(why) => assert!(Instant::now() < deadline, "after {PATIENCE:?}: {why}"),
        }
        vmm.wait_more_beats(1);
    }
}

/// A guest that powers itself off ends its process with 0.
fn ended_by_itself(site: &Site, machine: &[&str]) {
    let cmdline = format!("{CMDLINE} godwit.duration=1");
    let mut vmm = site.run(&[machine, &["--cmdline", &cmdline]].concat());
    let ended = vmm.program.end(BOOT);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("linux: DONE") && ended.out.contains(" bad=0"), "{}", ended.out);
    assert!(ended.err.contains("the guest powered off"), "{}", ended.err);
    println!("powered off by itself");
}
