//! Talks with a Linux guest by its console device, by the console and by a port with a name, before it moves and after. Made
//! for a host with a complete KVM, as `linux-journey`.
//!
//! `console-journey KERNEL INITRD`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing that held;
//! ends with a panic at the first harm.

use std::{
    env,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use godwit_tests::{
    site::{Listen, Site, text},
    stream::Stream,
};

/// How long the guest's kernel may take to boot, and an answer to come; the nested host is software.
const BOOT: Duration = Duration::from_secs(90);
/// How long until words are said again.
const AGAIN: Duration = Duration::from_secs(5);
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
    assert!(matches!(stays.0.get_mut().read(&mut [0; 1]), Ok(0) | Err(_)), "the client is still connected");
    assert_eq!(source.end().status, 0);
    Client::at(&socket("there.agent")).ask("agent", "three");
    // One client after another.
    Client::at(&socket("there.agent")).ask("agent", "four");
    Client::at(&socket("there.hvc0")).ask("hvc0", "five");
    assert_eq!(target.ask(&["shutdown"]).status, 0);
    assert_eq!(target.end().status, 0);
    println!("both answer where the guest has moved to");
}

/// Somebody at the host's end of a port.
struct Client(BufReader<UnixStream>);

impl Client {
    fn at(path: &str) -> Self {
        let stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        stream.set_read_timeout(Some(AGAIN)).expect("a time-out");
        Self(BufReader::new(stream))
    }

    /// Says `words`, and waits for the answer. A terminal says what is typed, too. Says them again where nothing comes: what a guest
    /// has not read when it closes its end, since the client before this one went, is lost to it.
    fn ask(&mut self, port: &str, words: &str) {
        let answer = format!("{port}: {words}");
        let (began, mut line) = (Instant::now(), String::new());
        loop {
            writeln!(self.0.get_mut(), "{words}").expect("it takes a line");
            loop {
                match self.0.read_line(&mut line) {
                    Ok(0) => panic!("no '{answer}'"),
                    Ok(_) if line.trim_end() == answer => return,
                    Ok(_) => line.clear(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock && began.elapsed() < BOOT => break,
                    Err(error) => panic!("no '{answer}': {error}"),
                }
            }
        }
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
