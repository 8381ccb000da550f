//! Real guests at real work, moved from host to host by one scheme after the other: how each does, and how far the lab is off
//! that is given what the guest wrote before. Made for a host with a complete KVM: the nested host, or a machine with
//! hardware virtualization.
//!
//! `linux-study KERNEL INITRD JOBS PRESETS`, each of the last two a list with commas, with `GODWIT_BIN` naming the program.
//! Prints a line for each move. The guest's job is the judge: it must go on after each, and find nothing wrong.

use std::{env, path::Path, time::Duration};

use godwit_migration::report::Report;
use godwit_tests::{
    lab::{HEAD, Recorded},
    program::godwit,
    site::{Listen, Site},
    vmm::{Migration, Vmm},
};

/// How long the guest's kernel may take to boot, and the guest to say that its job goes on.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a move may take, beside what it is told.
const MOVE: Duration = Duration::from_secs(300);
/// The link: what a core of the nested host can fill.
const BANDWIDTH: &str = "8MB/s";
const DOWNTIME: &str = "300ms";
/// Longest pre-copy: what is not there by then is stopped and copied.
const TIMEOUT: &str = "40s";
const MEMORY: &str = "160M";
const CMDLINE: &str =
    "console=ttyS0 quiet panic=-1 rcupdate.rcu_cpu_stall_suppress=1 godwit.mem=1M godwit.rate=0 godwit.job=";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd, jobs, presets] = &arguments[..] else {
        panic!("KERNEL INITRD JOBS PRESETS are wanted: {arguments:?}")
    };
    println!("guests of {MEMORY}, {BANDWIDTH}, budget {DOWNTIME}, at most {TIMEOUT}; one move each");
    for job in jobs.split(',') {
        let site = Site::open();
        let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", MEMORY];
        studied(&site, &machine, job, presets.split(','));
    }
}

/// Moves one guest on and on, by each preset once.
fn studied<'a>(site: &Site, machine: &[&str], job: &str, presets: impl Iterator<Item = &'a str>) {
    let cmdline = format!("{CMDLINE}{job}");
    let mut source = site.run(&[machine, &["--cmdline", &cmdline]].concat());
    goes_on(&source, job);
    let recorded = Recorded::of(Path::new(godwit()), &source.api, site.file("guest.trace"), "8s", "100ms")
        .unwrap_or_else(|error| panic!("it cannot be recorded: {error}"));
    println!(
        "\n{job}\n{:<16} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8}  {HEAD}",
        "preset", "total s", "down ms", "pages", "again", "MiB", "rounds", "taken %"
    );
    for preset in presets {
        let target = site.receive(Listen::Tcp, &[]);
        let limits = ["--bandwidth", BANDWIDTH, "--downtime", DOWNTIME, "--timeout", TIMEOUT];
        let how = [&limits[..], &["--on-timeout", "force", "--preset", preset]].concat();
        let mut moving = source.begin_migration(&target.address(), &how);
        let Migration { ended, report } = Migration::end_within(&mut moving, MOVE);
        let report = report.unwrap_or_else(|| panic!("{preset}: no report: {}", ended.err));
        assert_eq!(ended.status, 0, "{preset}: {}", ended.err);
        let left = source.end();
        assert_eq!(left.status, 0, "{preset}: {}", left.err);
        goes_on(&target, job);
        let document = serde_json::to_vec(&report).expect("a report is a document");
        let off = recorded.off(Path::new(&site.holding("report.json", &document)));
        println!(
            "{preset:<16} {}  {}",
            line(&report),
            off.unwrap_or_else(|error| panic!("{preset}: {error}"))
        );
        source = target;
    }
    assert_eq!(source.ask(&["shutdown"]).status, 0);
    println!("{job} done: nothing was wrong");
}

/// Waits until the guest's job has said twice here that it goes on.
///
/// # Panics
/// Where anything was wrong.
fn goes_on(vmm: &Vmm, job: &str) {
    let word = format!("linux: job={job} ");
    vmm.program.out.wait(&word, PATIENCE, |heard| {
        assert!(!heard.contains("BAD") && !heard.contains("ERROR"), "{heard}");
        let whole = heard.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let said: Vec<_> = whole.filter(|line| line.contains(&word)).collect();
        assert!(said.iter().all(|line| line.trim_end().ends_with(" bad=0")), "{heard}");
        (said.len() >= 2).then_some(())
    });
}

fn line(report: &Report) -> String {
    format!(
        "{:>8.2} {:>8.0} {:>8} {:>8} {:>8.1} {:>7} {:>8.1}",
        report.total_s,
        report.downtime_s.total * 1e3,
        report.pages.sent,
        report.pages.duplicate,
        report.bytes.wire as f64 / 1_048_576.0,
        report.rounds.len(),
        report.guest_slowed.share * 1e2
    )
}
