//! A Linux guest in a process of `godwit serve`, as a client of the API has it: created, booted, ended by its power button,
//! booted again, rebooted. Made for a host with a complete KVM: the nested host, or a machine with hardware virtualization.
//!
//! `linux-serve KERNEL INITRD`, with `GODWIT_BIN` naming the program under test. Ends with a panic at the first harm.

use std::{
    env, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use godwit_tests::{
    ch_remote::{ch_remote, done},
    program::{PROMPT, has},
    site::{Site, text},
};
use serde_json::json;

/// What each boot says once.
const READY: &str = "linux: READY cpus=1 ";
/// How long the guest's kernel may take to boot, or to end; the nested host is software.
const PATIENCE: Duration = Duration::from_secs(90);
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 rcupdate.rcu_cpu_stall_suppress=1 godwit.mem=16M";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd] = &arguments[..] else { panic!("KERNEL INITRD are wanted: {arguments:?}") };
    let site = Site::open();
    let folder = text(&site.folder());
    let mut vmm = site.serve(&["--allow", &folder, "--allow-read", kernel, "--allow-read", initrd]);
    vmm.wait_api();
    let console = site.file("console.log");
    let config = json!({
        "payload": {"kernel": kernel, "initramfs": initrd, "cmdline": CMDLINE},
        "memory": {"size": 192 << 20},
        "serial": {"mode": "File", "file": console},
    });
    let ask = |command: &str| done(&vmm.api, command, None);
    done(&vmm.api, "create", Some(&config.to_string()));
    for boots in 1..=2 {
        ask("boot");
        wait_for(&console, READY, boots);
        let began = Instant::now();
        while count(&console, "linux: POWER BUTTON") < boots {
            assert!(began.elapsed() < PATIENCE, "it does not hear its button: {}", heard(&console));
            // Its acpid may have been started, and not listen yet: then the press is nobody's. One that comes when it has
            // ended is refused.
            let _ = ch_remote(&vmm.api, "power-button", None);
            thread::sleep(Duration::from_secs(2));
        }
        let began = Instant::now();
        let info = loop {
            let info = ask("info");
            if info["state"] == "Shutdown" {
                break info;
            }
            assert!(began.elapsed() < PATIENCE, "it does not power off: {}", heard(&console));
            thread::sleep(Duration::from_millis(50));
        };
        has(info["ended"].as_str().unwrap_or_default(), &["the guest powered off"]);
    }
    ask("boot");
    wait_for(&console, READY, 3);
    ask("reboot");
    wait_for(&console, READY, 4);
    ask("delete");
    ask("shutdown-vmm");
    assert_eq!(vmm.program.end(PROMPT).status, 0);
    println!("powered off twice, booted four times");
}

fn heard(console: &Path) -> String {
    String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).into_owned()
}

fn count(console: &Path, words: &str) -> usize {
    heard(console).matches(words).count()
}

fn wait_for(console: &Path, words: &str, times: usize) {
    let began = Instant::now();
    while count(console, words) < times {
        assert!(began.elapsed() < PATIENCE, "no {times} of '{words}' in: {}", heard(console));
        thread::sleep(Duration::from_millis(50));
    }
}
