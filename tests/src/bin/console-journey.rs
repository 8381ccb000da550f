//! Talks with a Linux guest by its console device, by the console and by a port with a name, before it moves and after. Made
//! for a host with a complete KVM, as `linux-journey`.
//!
//! `console-journey KERNEL INITRD`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing that held;
//! ends with a panic at the first harm.

use std::{
    env,
    time::{Duration, Instant},
};

use godwit_tests::{
    port::Client,
    site::{Listen, Site, text},
    stream::Stream,
    terminal::Terminal,
};

/// How long the guest's kernel may take to boot; the nested host is software.
const BOOT: Duration = Duration::from_secs(90);
const CMDLINE: &str =
    "console=ttyS0 quiet panic=-1 godwit.mem=4M godwit.rate=50 godwit.heartbeat=2 godwit.ports=1";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd] = &arguments[..] else { panic!("KERNEL INITRD are wanted: {arguments:?}") };
    let site = Site::open();
    let socket = |name: &str| text(&site.file(name));
    let ports = |side: &str| {
        let console = format!("socket={}", socket(&format!("{side}.hvc0")));
        [console, format!("name=agent,socket={}", socket(&format!("{side}.agent")))]
    };
    let [console, agent] = ports("here");
    let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", "96M", "--cmdline", CMDLINE];
    let mut source = site.run(&[&machine[..], &["--console", &console, "--console", &agent]].concat());
    let heard = source.program.out.clone();
    let _shown = ShownOnFailure(heard.clone(), source.program.err.clone());
    heard.wait_for("linux: ports agent", BOOT);
    let mut stays = Client::at(&socket("here.agent"));
    stays.ask("agent", "one");
    Client::at(&socket("here.hvc0")).ask("hvc0", "two");
    println!("the agent's port and the console answer");

    let [console, agent] = ports("there");
    let mut target = site.receive(Listen::Tcp, &["--console", &console, "--console", &agent]);
    let _shown = ShownOnFailure(target.program.out.clone(), target.program.err.clone());
    let options = ["--lanes", "1", "--preset", "precopy", "--downtime", "10s"];
    let report = source.migrate(&target.address(), &options).completed();
    println!("moved in {:.1} s, down for {:.3} s", report.total_s, report.downtime_s.total);
    assert!(stays.is_over(), "the client is still connected");
    assert_eq!(source.end().status, 0);
    Client::at(&socket("there.agent")).ask("agent", "three");
    // One client after another.
    Client::at(&socket("there.agent")).ask("agent", "four");
    Client::at(&socket("there.hvc0")).ask("hvc0", "five");
    assert_eq!(target.ask(&["shutdown"]).status, 0);
    assert_eq!(target.end().status, 0);
    println!("both answer where the guest has moved to");
    terminals(&site, &machine);
}

/// A guest whose console is a terminal: what is typed is answered, here and at another terminal where the guest has moved to;
/// whoever's process ends has the terminal back as it was.
fn terminals(site: &Site, machine: &[&str]) {
    let serial = site.file("serial.log");
    let devices =
        ["--serial", &format!("file={}", text(&serial)), "--console", "tty", "--console", "name=agent,null"];
    let here = Terminal::open();
    let before = here.settings();
    let mut source = site.run_on(&here, &[machine, &devices].concat());
    let _shown = ShownOnFailure(here.screen.clone(), source.program.err.clone());
    answers(&here, "six");
    assert!(here.is_raw(), "{:?}", here.settings());
    let there = Terminal::open();
    let mut target = site.receive_on(&there, &devices);
    let _shown = ShownOnFailure(there.screen.clone(), target.program.err.clone());
    let options = ["--lanes", "1", "--preset", "precopy", "--downtime", "10s"];
    let report = source.migrate(&target.address(), &options).completed();
    println!("moved from terminal to terminal in {:.1} s", report.total_s);
    assert_eq!(source.end().status, 0);
    assert_eq!(here.settings(), before, "the terminal that the guest has left");
    answers(&there, "seven");
    assert!(there.is_raw(), "{:?}", there.settings());
    // Ctrl-A x.
    there.press("\x01x");
    assert_eq!(target.end().status, 0);
    assert_eq!(there.settings(), before, "the terminal of the guest that was ended");
    println!("terminals were typed at, and are as they were");
}

/// Types until the guest answers: it may still boot, or close its end for a moment.
fn answers(terminal: &Terminal, words: &str) {
    let (began, answer) = (Instant::now(), format!("hvc0: {words}"));
    while !terminal.screen.text().contains(&answer) {
        assert!(began.elapsed() < BOOT, "no '{answer}' in: {}", terminal.screen.text());
        terminal.press(&format!("{words}\r"));
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Shows what was heard where the journey fails.
struct ShownOnFailure(Stream, Stream);

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("console:\n{}\nwords:\n{}", self.0.text(), self.1.text());
        }
    }
}
