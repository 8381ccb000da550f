//! Moves a Linux guest that talks with the host by vsock, in both directions: both sides see the end of their streams, what
//! listens goes on to listen, and new streams carry what they are given. Made for a host with a complete KVM, as
//! `linux-journey`.
//!
//! `vsock-journey KERNEL INITRD`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing that held;
//! ends with a panic at the first harm.

use std::{
    env,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use godwit_tests::{
    site::{Listen, Site, text},
    stream::Stream,
};

/// How long the guest's kernel may take to boot, and a step of the work; the nested host is software.
const BOOT: Duration = Duration::from_secs(90);
const CMDLINE: &str =
    "console=ttyS0 quiet panic=-1 godwit.mem=4M godwit.rate=50 godwit.heartbeat=2 godwit.vsock=1";
/// Where the guest sends back what comes, and where it connects to on the host, as its `vsockwork` has them.
const ECHO_PORT: u32 = 5000;
const HOST_PORT: u32 = 5001;
/// Bytes that go to the guest and back.
const BYTES: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd] = &arguments[..] else { panic!("KERNEL INITRD are wanted: {arguments:?}") };
    let site = Site::open();
    let (here, there) = (site.file("here.vsock"), site.file("there.vsock"));
    echo_at(&here);
    echo_at(&there);
    let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", "96M", "--cmdline", CMDLINE];
    let device = format!("cid=3,socket={}", text(&here));
    let mut source = site.run(&[&machine[..], &["--vsock", &device]].concat());
    let console = source.program.out.clone();
    let _shown = ShownOnFailure(console.clone(), source.program.err.clone());
    console.wait_for("linux: vsock echo on port 5000", BOOT);
    console.wait_for("linux: vsock round=2 bad=0", BOOT);
    println!("the guest reaches the host, and gets back what it sent");
    let mut stays = connect(&here);
    exchange(&mut stays);
    println!("the host reaches the guest, and gets back what it sent");

    let device = format!("cid=3,socket={}", text(&there));
    let target = site.receive(Listen::Tcp, &["--vsock", &device]);
    let _shown = ShownOnFailure(target.program.out.clone(), target.program.err.clone());
    let options = ["--lanes", "1", "--preset", "precopy", "--downtime", "10s"];
    let report = source.migrate(&target.address(), &options).completed();
    println!("moved in {:.1} s, down for {:.3} s", report.total_s, report.downtime_s.total);
    let left = stays.read(&mut [0; 1]);
    assert!(matches!(left, Ok(0)) || left.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    assert_eq!(source.end().status, 0);
    let heard = target.program.out.clone();
    heard.wait_for("linux: vsock stream of the host ended: Connection reset by peer", BOOT);
    heard.wait_for("linux: vsock stream to the host ended: ", BOOT);
    println!("both sides saw the end of their streams");
    heard.wait_for("linux: vsock connected", BOOT);
    exchange(&mut connect(&there));
    println!("the guest's listener is reached at the new place");
    let rounds = |text: &str| text.matches("linux: vsock round=").count();
    let before = rounds(&heard.text());
    heard.wait("two more rounds", BOOT, |text| (rounds(text) >= before + 2).then_some(()));
    println!("and the guest reaches the new host");

    let mut target = target;
    assert_eq!(target.ask(&["shutdown"]).status, 0);
    assert_eq!(target.end().status, 0);
    assert!(!there.exists(), "the socket is left behind");
    let all = console.text() + &heard.text();
    let harm = all.lines().find(|line| line.contains("linux: BAD") || line.contains("linux: ERROR"));
    assert!(harm.is_none(), "{harm:?}");
    println!("moved with vsock");
}

/// Sends back what a guest with its device's socket at `device` sends.
fn echo_at(device: &Path) {
    let mut path = device.as_os_str().to_owned();
    path.push(format!("_{HOST_PORT}"));
    let listener = UnixListener::bind(PathBuf::from(path)).expect("the folder is ours");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut from, mut to) = (&stream, &stream);
                std::io::copy(&mut from, &mut to)
            });
        }
    });
}

/// A stream to the guest's echo.
fn connect(device: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(device).expect("the device listens");
    stream.set_read_timeout(Some(BOOT)).expect("a time-out");
    writeln!(stream, "CONNECT {ECHO_PORT}").expect("it takes a line");
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(1, &stream);
    reader.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("OK "), "{line:?}");
    stream
}

/// Sends a pattern, and checks that it comes back.
fn exchange(stream: &mut UnixStream) {
    let sent: Vec<u8> = (0..BYTES).map(|at| (at * 31 + at / 4099) as u8).collect();
    let mut got = vec![0; BYTES];
    let mut writer = stream.try_clone().expect("a second descriptor");
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).expect("the guest takes it"));
        stream.read_exact(&mut got).expect("the guest sends it back");
    });
    assert!(got == sent, "what comes back is not what was sent");
}

/// Shows what was heard where the journey fails.
struct ShownOnFailure(Stream, Stream);

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("console:\n{}\nwords:\n{}", self.0.text(), self.1.text());
        }
    }
}
