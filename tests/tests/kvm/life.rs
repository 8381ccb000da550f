//! A process of `godwit serve`, driven as Cloud Hypervisor's own client would drive it: guests are made, run, moved, ended
//! and made anew while the process stays.

use std::{fs, path::Path, thread, time::Duration, time::Instant};

use godwit_tests::{
    ch_remote::{self, ch_remote},
    program::{PROMPT, alone, has},
    site::{Site, text},
    vmm::{GUEST, Vmm},
};
use serde_json::{Value, json};

/// The load guest with its console in `console`.
fn config(console: &Path, parameters: &str) -> String {
    json!({
        "cpus": {"boot_vcpus": 1, "max_vcpus": 1},
        "memory": {"size": 64 << 20},
        "payload": {"kernel": "builtin:load", "cmdline": parameters},
        "rng": {"src": "/dev/urandom"},
        "balloon": {"size": 0},
        "serial": {"mode": "File", "file": console},
        "console": {"mode": "Off"},
    })
    .to_string()
}

fn serve(site: &Site, more: &[&str]) -> Vmm {
    let vmm = site.serve(more);
    vmm.wait_api();
    vmm
}

/// A command without a body that is done, and its document where it has one.
fn done(vmm: &Vmm, command: &str) -> Value {
    done_with(vmm, command, None)
}

fn done_with(vmm: &Vmm, command: &str, body: Option<&str>) -> Value {
    ch_remote::done(&vmm.api, command, body)
}

fn refused(vmm: &Vmm, command: &str, body: Option<&str>, status: u16) -> String {
    let heard = ch_remote(&vmm.api, command, body);
    assert_eq!(heard.status, status, "{command}: {heard:?}");
    heard.refusal()
}

fn state(vmm: &Vmm) -> String {
    done(vmm, "info")["state"].as_str().expect("a state is text").to_owned()
}

fn beats(console: &Path) -> Vec<u64> {
    let text = fs::read_to_string(console).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let number = |line: &str| line.split(": beat=").nth(1)?.split_whitespace().next()?.parse().ok();
    whole.filter_map(number).collect()
}

fn wait(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < GUEST, "{what} never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the guest has been heard `more` times from now on.
fn hear(console: &Path, more: usize) {
    let wanted = beats(console).len() + more;
    wait("a heartbeat", || beats(console).len() >= wanted);
}

/// Waits until guests with that console have been heard to start so often.
fn hear_starts(console: &Path, count: usize) {
    wait("a first heartbeat", || beats(console).iter().filter(|&&beat| beat == 1).count() >= count);
}

#[test]
fn a_guest_is_created_booted_told_of_moved_and_deleted() {
    let _turn = alone();
    let site = Site::open();
    let folder = text(&site.folder());
    let (source, target) = (serve(&site, &["--allow", &folder]), serve(&site, &["--allow", &folder]));
    let (here, there) = (site.file("here.log"), site.file("there.log"));
    assert_eq!(done(&source, "ping")["version"], json!(env!("CARGO_PKG_VERSION")));
    has(&refused(&source, "info", None, 404), &["no guest"]);
    has(&refused(&source, "boot", None, 404), &["booting is not possible"]);

    done_with(&source, "create", Some(&config(&here, "memory=16M rate=1000")));
    let info = done(&source, "info");
    assert_eq!((&info["state"], &info["memory_actual_size"]), (&json!("Created"), &json!(64 << 20)));
    assert_eq!(info["config"]["payload"]["cmdline"], json!("memory=16M rate=1000"));
    has(&refused(&source, "pause", None, 405), &["created, and not booted"]);
    done(&source, "boot");
    hear(&here, 2);
    done(&source, "pause");
    assert_eq!(state(&source), "Paused");
    done(&source, "resume");
    done(&source, "power-button");
    assert!(done(&source, "counters")["balloon0"]["actual"].is_u64());
    done_with(
        &source,
        "resize",
        Some(r#"{"desired_vcpus":null,"desired_ram":null,"desired_balloon":16777216}"#),
    );
    assert_eq!(done(&source, "info")["config"]["balloon"]["size"], json!(16 << 20));
    hear(&here, 2);

    // The target's own side of the guest: where its console goes, and that it has a balloon.
    let own_side = json!({"serial": {"mode": "File", "file": there}, "balloon": {"size": 0}}).to_string();
    done_with(&target, "create", Some(&own_side));
    let address = format!("unix:{}", text(&site.file("wire.sock")));
    let (api, order) = (target.api.clone(), json!({"receiver_url": address}).to_string());
    let receiving = thread::spawn(move || ch_remote(&api, "receive-migration", Some(&order)));
    assert_eq!(target.address(), address);
    let order = json!({"destination_url": address, "local": false}).to_string();
    assert_eq!(done_with(&source, "send-migration", Some(&order))["outcome"], json!("completed"));
    assert_eq!(receiving.join().unwrap().status, 204);
    let last_here = *beats(&here).last().expect("it was heard");
    hear(&there, 3);
    assert!(beats(&there)[0] > last_here, "it went on where it was: {last_here}, {:?}", beats(&there));

    assert_eq!((state(&source), state(&target)), ("Shutdown".into(), "Running".into()));
    has(&refused(&source, "boot", None, 405), &["the guest runs elsewhere now"]);
    done(&source, "delete");
    has(&refused(&source, "info", None, 404), &["no guest"]);
    done(&target, "delete");
    has(&refused(&target, "info", None, 404), &["no guest"]);
    // Both are as new.
    done_with(&source, "create", Some(&config(&here, "memory=1M")));
    done(&source, "boot");
    hear(&here, 1);
    for mut vmm in [source, target] {
        done(&vmm, "shutdown-vmm");
        assert_eq!(vmm.program.end(PROMPT).status, 0);
    }
}

#[test]
fn a_guest_is_rebooted_shut_down_and_booted_again() {
    let _turn = alone();
    let site = Site::open();
    let vmm = serve(&site, &["--allow", &text(&site.folder())]);
    let console = site.file("console.log");
    done_with(&vmm, "create", Some(&config(&console, "memory=1M")));
    done(&vmm, "boot");
    wait("a later heartbeat", || beats(&console).last().is_some_and(|&beat| beat >= 3));
    done(&vmm, "reboot");
    hear_starts(&console, 2);
    done(&vmm, "shutdown");
    assert_eq!(state(&vmm), "Shutdown");
    let silent = beats(&console).len();
    has(&refused(&vmm, "reboot", None, 405), &["the guest has ended"]);
    has(&refused(&vmm, "shutdown", None, 405), &["the guest has ended"]);
    assert_eq!(beats(&console).len(), silent);
    done(&vmm, "boot");
    hear_starts(&console, 3);
    done(&vmm, "delete");

    // One that ends by itself leaves the process, and what it was made of.
    done_with(&vmm, "create", Some(&config(&console, "memory=1M duration=0.3")));
    done(&vmm, "boot");
    wait("its end", || state(&vmm) == "Shutdown");
    let info = done(&vmm, "info");
    assert_eq!(info["config"]["payload"]["kernel"], json!("builtin:load"));
    has(info["ended"].as_str().unwrap(), &["the guest ended the run"]);
    has(&vmm.program.err.text(), &["godwit: the guest ended the run"]);
    assert!(!vmm.program.is_over());
}

#[test]
fn many_guests_one_after_the_other_leave_nothing_behind() {
    let _turn = alone();
    let site = Site::open();
    let vmm = serve(&site, &["--allow", &text(&site.folder())]);
    let console = site.file("console.log");
    let process = format!("/proc/{}", vmm.program.id().as_raw_nonzero());
    let descriptors = || fs::read_dir(format!("{process}/fd")).expect("it lives").count();
    let threads = || fs::read_dir(format!("{process}/task")).expect("it lives").count();
    let cycle = || {
        done_with(&vmm, "create", Some(&config(&console, "memory=1M")));
        done(&vmm, "boot");
        hear_starts(&console, 1);
        done(&vmm, "reboot");
        hear_starts(&console, 2);
        done(&vmm, "delete");
        fs::remove_file(&console).expect("its console was there");
    };
    cycle();
    // Clients of the API leave without a word, and are found gone a little later.
    let settled = |least: usize| wait("the end of what is left over", || descriptors() <= least);
    thread::sleep(Duration::from_millis(200));
    let (descriptors_before, threads_before) = (descriptors(), threads());
    (0..15).for_each(|_| cycle());
    settled(descriptors_before);
    wait("the end of its threads", || threads() <= threads_before);
}

#[test]
fn what_was_not_allowed_and_what_cannot_be_is_refused_and_the_process_goes_on() {
    let _turn = alone();
    let site = Site::open();
    let kernel = site.holding("vmlinuz", &[b"no kernel ".as_slice(), &[0; 502]].concat());
    let vmm = serve(&site, &["--allow-read", &kernel]);
    let with = |part: &str, value: Value| {
        let mut config = json!({"payload": {"kernel": "builtin:load"}});
        config[part] = value;
        config.to_string()
    };
    let log = site.file("log");
    for (body, words) in [
        ("{".into(), vec!["is not JSON"]),
        ("[]".into(), vec!["must be a JSON object"]),
        (with("serial", json!({"mode": "File", "file": log})), vec!["log is not a file", "--allow "]),
        (with("serial", json!({"mode": "Socket", "socket": kernel})), vec!["vmlinuz", "--allow "]),
        (with("disks", json!([{"path": kernel}])), vec!["vmlinuz", "--allow "]),
        (with("net", json!([{"tap": "tap0"}])), vec!["--allow /dev/net/tun"]),
        (with("payload", json!({"kernel": "/etc/shadow"})), vec!["/etc/shadow", "--allow-read /etc/shadow"]),
        (with("memory", json!({"size": 5})), vec!["5 bytes of memory are too little"]),
        (with("memory", json!({"size": 64 << 20, "hugepages": true})), vec!["'memory.hugepages'"]),
        (
            with("cpus", json!({"boot_vcpus": 1, "max_vcpus": 8})),
            vec!["'cpus.max_vcpus'", "no vCPU can be added"],
        ),
        (with("disks", json!([{"path": kernel, "vhost_user": true}])), vec!["'disks[0].vhost_user'"]),
        (with("fs", json!([{"tag": "t"}])), vec!["'fs'"]),
        (with("console", json!({"mode": "Pty"})), vec!["'console.mode'", "expected one of `Off`"]),
        (with("frobnicate", json!(1)), vec!["does not know the field \"frobnicate\""]),
    ] {
        has(&refused(&vmm, "create", Some(&body), 400), &words);
        has(&refused(&vmm, "info", None, 404), &["no guest"]);
    }
    // A file that may be read is read, by a process that is confined, and is no kernel.
    done_with(&vmm, "create", Some(&with("payload", json!({"kernel": kernel}))));
    has(&refused(&vmm, "boot", None, 500), &["booting failed", "vmlinuz"]);
    assert_eq!(state(&vmm), "Created");
    done(&vmm, "delete");
    done_with(&vmm, "create", Some(&with("disks", json!([{"path": kernel, "readonly": true}]))));
    done(&vmm, "boot");
    has(&refused(&vmm, "create", Some("{}"), 405), &["vm.delete ends it"]);
    has(
        &refused(
            &vmm,
            "resize",
            Some(r#"{"desired_vcpus":4,"desired_ram":null,"desired_balloon":null}"#),
            400,
        ),
        &["'desired_vcpus' of vm.resize is 4"],
    );
    assert_eq!(state(&vmm), "Running");
    assert_eq!(vmm.program.err.text(), "");
}

#[test]
fn the_command_line_makes_and_ends_guests_too() {
    let _turn = alone();
    let site = Site::open();
    let vmm = serve(&site, &["--allow", &text(&site.folder())]);
    let console = site.file("console");
    let file = site.holding("vm.json", config(&console, "").as_bytes());
    let ok = |command: &[&str]| assert_eq!(vmm.ask(command).status, 0, "{command:?}");
    let missing = text(&site.file("missing.json"));
    for (path, words) in [(missing, "missing.json"), (site.holding("bad.json", b"{"), "is not JSON")] {
        let failed = vmm.ask(&["create", "--config", &path]);
        assert_eq!(failed.status, 1);
        has(failed.sentence(), &["--config", words]);
    }
    ok(&["create", "--config", &file]);
    assert_eq!(state(&vmm), "Created");
    ok(&["boot"]);
    hear_starts(&console, 1);
    ok(&["reboot"]);
    hear_starts(&console, 2);
    ok(&["delete"]);
    has(vmm.ask(&["boot"]).sentence(), &["booting", "no guest"]);
    has(&refused(&vmm, "info", None, 404), &["no guest"]);
}

#[test]
fn folders_that_are_not_there_cannot_be_allowed() {
    let _turn = alone();
    let site = Site::open();
    let missing = text(&site.file("missing"));
    let mut vmm = site.serve(&["--allow", &missing]);
    has(vmm.program.end(PROMPT).sentence(), &[&missing, "is not there, and cannot be allowed"]);
}

#[test]
fn a_process_of_one_guest_reboots_it_and_makes_no_other() {
    let _turn = alone();
    let site = Site::open();
    let vmm = site.boot("memory=1M", &["--memory", "64M"]);
    has(&refused(&vmm, "create", Some("{}"), 405), &["godwit serve"]);
    has(&refused(&vmm, "delete", None, 405), &["godwit serve"]);
    has(&refused(&vmm, "boot", None, 405), &["the guest is running"]);
    let ready = |vmm: &Vmm| vmm.program.out.text().matches("load: READY").count();
    assert_eq!(ready(&vmm), 1);
    done(&vmm, "reboot");
    wait("the guest's second start", || ready(&vmm) == 2);
    vmm.wait_more_beats(2);
}
