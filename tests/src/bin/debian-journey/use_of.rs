//! What each device is for, done once. Each function panics where it cannot be done.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
};

use godwit_tests::{
    debian::{Debian, GUEST, PATIENCE},
    network::Traffic,
};
use serde_json::Value;

/// Where the guest sends back what comes, by vsock and by TCP.
const ECHO_PORT: u16 = 5000;

/// Sizes of the balloon, one after the other.
const BALLOONS: [u64; 2] = [0, 24 << 20];

/// Each device but the disks, after move number `round`; something must listen by vsock.
pub(crate) fn all_but_disks(debian: &mut Debian, round: usize) {
    let words = format!("round {round}");
    network(debian);
    entropy(debian);
    balloon(debian, BALLOONS[round % BALLOONS.len()]);
    vsock(debian, &words);
    port(debian, &words);
    console(debian);
    no_panic(debian);
}

/// Answers come back from outside, and are counted.
fn network(debian: &Debian) {
    let ended = debian.clients().start("ping", &format!("exec ping -c 2 -W 60 {GUEST}")).end(PATIENCE);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    for (name, least) in [("rx_frames", 2), ("rx_bytes", 2 * 98), ("tx_frames", 2), ("tx_bytes", 2 * 98)] {
        let counted = debian.vmm().counter("net0", name);
        assert!(counted >= least, "{name}: {counted}");
    }
}

/// Begins one TCP stream through the guest, which sends back what comes.
pub(crate) fn stream(debian: &mut Debian) -> Traffic {
    debian.run(&format!("socat TCP-LISTEN:{ECHO_PORT} EXEC:cat </dev/null >/dev/null 2>&1 &"));
    let listens = || debian.run("ss -ltn").contains(&format!(":{ECHO_PORT} "));
    super::wait("program that listens", listens);
    Traffic::start(SocketAddr::from((GUEST, ECHO_PORT)))
}

/// The host's generator gives bytes.
fn entropy(debian: &mut Debian) {
    let read = debian.run("dd if=/dev/hwrng bs=64 count=1 iflag=fullblock status=none | wc -c");
    assert_eq!(read.trim(), "64", "bytes of entropy");
}

/// The guest gives as much memory as is asked for.
fn balloon(debian: &Debian, bytes: u64) {
    let asked = debian.vmm().ask(&["resize", "--balloon", &bytes.to_string()]);
    assert_eq!(asked.status, 0, "{}", asked.err);
    super::wait("balloon of that size", || debian.vmm().counter("balloon0", "actual") == bytes);
}

/// Begins to send back in the guest what comes by vsock.
pub(crate) fn listen_by_vsock(debian: &mut Debian) {
    debian.run(&format!("socat VSOCK-LISTEN:{ECHO_PORT},fork EXEC:cat </dev/null >/dev/null 2>&1 &"));
}

/// Words come back by a new stream.
fn vsock(debian: &Debian, words: &str) {
    let mut stream = connected(debian, "vsock");
    write!(stream, "CONNECT {ECHO_PORT}\n{words}\n").expect("the device's socket takes it");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("an answer by vsock"));
    let (accepted, answer) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    assert!(accepted.starts_with("OK "), "the answer to CONNECT: '{accepted}'");
    assert_eq!(answer, words, "what comes back by vsock");
}

/// Words go both ways by the port with a name.
fn port(debian: &mut Debian, words: &str) {
    let mut stream = connected(debian, "agent");
    debian.run(&format!("echo '{words}' >/dev/virtio-ports/agent"));
    let mut heard = String::new();
    BufReader::new(&stream).read_line(&mut heard).expect("words of the guest");
    assert_eq!(heard.trim_end(), words, "what the guest wrote to its port");
    writeln!(stream, "{words} back").expect("the port's socket takes it");
    let read = debian.run("head -n 1 </dev/virtio-ports/agent");
    assert_eq!(read.trim_end(), format!("{words} back"), "what the guest read from its port");
}

/// The console asks who is there.
fn console(debian: &Debian) {
    let mut stream = connected(debian, "hvc0");
    stream.write_all(b"\r").expect("the console's socket takes it");
    let (mut heard, mut piece) = (Vec::new(), [0; 256]);
    while !String::from_utf8_lossy(&heard).contains("godwit login:") {
        let read = stream.read(&mut piece).unwrap_or_else(|e| panic!("no login at the console: {e}"));
        assert!(read > 0, "no login at the console: {:?}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&piece[..read]);
    }
}

/// The guest has told of no panic.
fn no_panic(debian: &Debian) {
    let said = debian.vmm().ask(&["info", "--json"]);
    let info: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    assert!(info["guest_panic"].is_null() && info["state"] == "Running", "{info}");
}

fn connected(debian: &Debian, device: &str) -> UnixStream {
    let path = debian.socket(device);
    let stream = UnixStream::connect(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}
