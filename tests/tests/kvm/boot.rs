//! Booting, the ways in which a guest ends, and what a user does to one that runs.

use std::time::Duration;

use godwit_tests::{
    program::{Signal, alone, has},
    site::Site,
    verdict::Verdict,
    vmm::Vmm,
};
use guest_images::LoadLine;
use serde_json::Value;

/// Runs a guest to its own end.
fn run(site: &Site, parameters: &str, arguments: &[&str]) -> (i32, String, String) {
    let kernel = ["--kernel", "builtin:load", "--memory", "64M", "--cmdline", parameters];
    let ended = site.run(&[&kernel, arguments].concat()).end();
    (ended.status, ended.out, ended.err)
}

#[test]
fn a_guest_works_and_ends_with_the_status_of_its_choice() {
    let _turn = alone();
    let site = Site::open();
    for cpus in ["1", "2"] {
        let (status, out, err) = run(&site, "memory=8M rate=2000 duration=1", &["--cpus", cpus]);
        let verdict = Verdict::of(&out).unwrap();
        assert!(verdict.beats.len() >= 9 && verdict.last().pages > 1000, "{out}");
        has(&out, &[&format!("READY 8M text cpus={cpus}")]);
        assert!(
            out.lines().any(|line| matches!(LoadLine::parse(line), Some(LoadLine::Done { bad: 0, .. }))),
            "{out}"
        );
        assert_eq!(
            (status, err.as_str()),
            (1, "godwit: the guest ended the run with status 1 on its debug-exit port\n")
        );
    }
}

#[test]
fn every_end_of_a_guest_has_its_message_and_its_status() {
    let _turn = alone();
    let site = Site::open();
    for (parameters, wanted, words) in [
        ("memory=4M duration=1 exit=reset", 64, "the guest asked for a reboot"),
        ("memory=4M duration=1 exit=triple", 66, "triple fault"),
        ("memory=4M memery=5M", 3, "status 3 on its debug-exit port"),
        ("memory=4M duration=3 damage=bit", 5, "status 5 on its debug-exit port"),
    ] {
        let (status, out, err) = run(&site, parameters, &[]);
        assert_eq!(status, wanted, "{parameters}: {out}{err}");
        assert!(
            err.starts_with("godwit: ") && err.lines().count() == 1 && err.contains(words),
            "{parameters}: {err}"
        );
    }
}

#[test]
fn a_guest_whose_memory_was_damaged_is_never_found_well() {
    let _turn = alone();
    let site = Site::open();
    for damage in ["bit", "stale"] {
        let (_, out, _) = run(&site, &format!("memory=4M rate=1000 duration=3 damage={damage}"), &[]);
        assert!(Verdict::of(&out).is_err(), "{damage}: {out}");
    }
}

#[test]
fn a_guest_stands_still_while_paused_and_goes_on_when_resumed() {
    let _turn = alone();
    let site = Site::open();
    let vmm = site.boot("memory=4M rate=100", &["--memory", "64M", "--cpus", "2"]);
    assert_eq!(vmm.ask(&["pause"]).status, 0);
    assert_eq!(state(&vmm), "Paused");
    let before = vmm.program.out.text();
    has(vmm.ask(&["pause"]).sentence(), &["pausing", "the guest is paused"]);
    // Ten heartbeats would be due.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(vmm.program.out.text(), before);
    assert_eq!(vmm.ask(&["resume"]).status, 0);
    assert_eq!(state(&vmm), "Running");
    vmm.wait_more_beats(3);
    has(vmm.ask(&["resume"]).sentence(), &["resuming", "the guest is running"]);
    let verdict = Verdict::of(&vmm.program.out.text()).unwrap();
    assert!(verdict.longest_gap() >= Duration::from_secs(1), "{:?}", verdict.longest_gap());
}

#[test]
fn info_tells_the_machine_and_shutdown_ends_the_process() {
    let _turn = alone();
    let site = Site::open();
    let mut vmm = site.boot("memory=4M", &["--memory", "128M", "--cpus", "2"]);
    let told = vmm.ask(&["info"]);
    assert_eq!(told.status, 0);
    has(&told.out, &["Running", "128 MiB", "vCPUs    2", "builtin:load", "memory=4M"]);
    assert_eq!(vmm.ask(&["shutdown"]).status, 0);
    let ended = vmm.end();
    assert_eq!((ended.status, ended.err.as_str()), (0, ""));
    assert!(!vmm.api().exists(), "the API's socket was left behind");
    has(vmm.ask(&["info"]).sentence(), &["no godwit process listens on", "api0.sock"]);
}

#[test]
fn signals_end_a_process_in_order() {
    let _turn = alone();
    let site = Site::open();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut vmm = site.boot("memory=4M", &["--memory", "64M"]);
        vmm.program.signal(signal);
        assert_eq!(vmm.end().status, status);
        assert!(!vmm.api().exists(), "the API's socket was left behind");
    }
}

#[test]
fn the_console_hears_what_is_typed() {
    let _turn = alone();
    let site = Site::open();
    let mut vmm = site.boot("memory=4M", &["--memory", "64M"]);
    vmm.program.write("hello there\n");
    vmm.program.out.wait_for("load: input hello there", godwit_tests::vmm::GUEST);
}

#[test]
fn the_console_can_be_a_file() {
    let _turn = alone();
    let site = Site::open();
    let file = site.file("console");
    let (status, out, _) = run(
        &site,
        "memory=4M duration=1",
        &["--serial", &format!("file={}", godwit_tests::site::text(&file))],
    );
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(Verdict::of(&std::fs::read_to_string(file).unwrap()).unwrap().beats.len() >= 9);
}

/// The state that `godwit info --json` tells.
fn state(vmm: &Vmm) -> String {
    let told: Value = serde_json::from_str(&vmm.ask(&["info", "--json"]).out).unwrap();
    told["state"].as_str().unwrap().to_owned()
}
