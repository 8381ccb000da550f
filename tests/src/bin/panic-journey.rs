//! Has Linux guests panic: one says so by pvpanic, `info` shows it, and still does where the guest has moved to; another
//! restarts after its panic, and its end is one of a crash. Made for a host with a complete KVM, as `linux-journey`.
//!
//! `panic-journey KERNEL INITRD`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing that held;
//! ends with a panic of its own at the first harm.

use std::{env, time::Duration};

use godwit_tests::{
    site::{Listen, Site},
    vmm::Vmm,
};

/// How long the guest's kernel may take to boot, and to panic; the nested host is software.
const BOOT: Duration = Duration::from_secs(90);
const CMDLINE: &str = "console=ttyS0 quiet godwit.mem=4M godwit.rate=50 godwit.heartbeat=2";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd] = &arguments[..] else { panic!("KERNEL INITRD are wanted: {arguments:?}") };
    let site = Site::open();
    let panicked = |more: &str| {
        let cmdline = format!("{CMDLINE} {more}");
        let machine =
            ["--kernel", kernel, "--initrd", initrd, "--memory", "96M", "--cmdline", &cmdline, "--pvpanic"];
        let mut guest = site.run(&machine);
        guest.program.out.wait_for("linux: beat=1 ", BOOT);
        assert!(!shows_panic(&guest));
        guest.program.write("panic\n");
        guest.program.err.wait_for("pvpanic: the guest panicked", BOOT);
        guest
    };
    // It stands where it panicked, for ever.
    let mut source = panicked("panic=0");
    assert!(shows_panic(&source));
    let target = site.receive(Listen::Tcp, &["--pvpanic"]);
    let options = ["--lanes", "1", "--preset", "precopy", "--downtime", "10s"];
    let report = source.migrate(&target.address(), &options).completed();
    assert_eq!(source.end().status, 0);
    assert!(shows_panic(&target));
    drop(target);
    println!("the panic is told at once, and shown before and after a move of {:.1} s", report.total_s);

    let mut guest = panicked("panic=-1");
    assert!(guest.program.ends_within(BOOT), "{}", guest.program.out.text());
    let ended = guest.end();
    assert_eq!(ended.status, 70, "{}", ended.err);
    let words = "the guest panicked, as it told by its pvpanic device, and ended";
    assert!(ended.err.contains(words), "{}", ended.err);
    println!("a guest that panicked ended with status 70");
}

fn shows_panic(vmm: &Vmm) -> bool {
    vmm.ask(&["info"]).out.contains("guest    panicked\n")
}
