//! The port between a guest and its console: nothing typed is lost or comes early, nothing written makes the guest
//! wait, and the loop never spins.

use std::{
    fs::File,
    io::{Read, Write, pipe},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use event_manager::{EventManager, SubscriberOps};
use godwit_state::Save;

use super::{BUFFER_BYTES, SerialError, SerialState, escape::Escape, input::Input, output::Sink};
use crate::{BytePorts, Device, Irq, Lifecycle, Serial, SerialBackend, Shared, Stop, StopLine};

const DATA: u16 = 0;
const IER: u16 = 1;
const MCR: u16 = 4;
const LSR: u16 = 5;
const DATA_READY: u8 = 1;
const PATIENCE: Duration = Duration::from_secs(10);

/// A port with an event loop that the test turns by hand.
struct Bench {
    port: Shared<Serial>,
    events: EventManager<Shared<Serial>>,
    irq: Irq,
    stop: StopLine,
}

impl Bench {
    fn of(make: impl FnOnce(Irq, StopLine) -> Serial) -> Self {
        let (irq, stop) = (Irq::new().unwrap(), StopLine::new().unwrap());
        let port = Arc::new(Mutex::new(make(irq.clone(), stop.clone())));
        let mut events = EventManager::new().unwrap();
        events.add_subscriber(port.clone());
        Self { port, events, irq, stop }
    }

    fn backend(backend: &SerialBackend) -> Self {
        Self::of(|irq, stop| Serial::new("com1", irq, backend, stop).unwrap())
    }

    fn input(file: impl Into<OwnedFd>, escape: Option<Escape>) -> Self {
        let input = Input::stream(File::from(file.into()), escape);
        Self::of(|irq, stop| Serial::between("com1", irq, input, Some(Sink::Null), stop).unwrap())
    }

    fn resumed(self) -> Self {
        self.port.lock().unwrap().resume();
        self
    }

    /// Turns the loop until nothing happens for a moment, and says how many events there were.
    fn turn(&mut self) -> usize {
        std::iter::from_fn(|| Some(self.events.run_with_timeout(20).unwrap()))
            .take(1_000)
            .take_while(|events| *events > 0)
            .sum()
    }

    fn write(&self, offset: u16, value: u8) {
        self.port.lock().unwrap().write_byte(offset, value);
    }

    fn read(&self, offset: u16) -> u8 {
        self.port.lock().unwrap().read_byte(offset)
    }

    /// What a driver reads now: while data is ready, a byte.
    fn drain(&self) -> Vec<u8> {
        std::iter::from_fn(|| (self.read(LSR) & DATA_READY != 0).then(|| self.read(DATA))).collect()
    }

    fn print(&self, text: &[u8]) {
        text.iter().for_each(|byte| self.write(DATA, *byte));
    }

    fn flush(&self) -> bool {
        let output = self.port.lock().unwrap().output();
        output.flush(PATIENCE)
    }
}

/// A path of this test's own that does not exist yet.
fn fresh_path(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("godwit-serial-{}-{number}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn socket_bench(path: &Path) -> Bench {
    Bench::backend(&SerialBackend::Socket(path.into())).resumed()
}

/// Reads from `client` until it has `expected`.
fn assert_reads(client: &mut UnixStream, expected: &[u8]) {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut found = vec![0; expected.len()];
    client.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(expected));
}

#[test]
fn back_ends_are_named_on_the_command_line() {
    assert_eq!("stdio".parse(), Ok(SerialBackend::Stdio));
    assert_eq!("null".parse(), Ok(SerialBackend::Null));
    assert_eq!("file=/a=b".parse(), Ok(SerialBackend::File("/a=b".into())));
    assert_eq!("socket=s".parse(), Ok(SerialBackend::Socket("s".into())));
    for wrong in ["", "tty", "file", "file=", "socket=", "stdio=x"] {
        let error = wrong.parse::<SerialBackend>().unwrap_err().to_string();
        assert!(error.contains(&format!("'{wrong}'")) && error.contains("stdio, file=PATH"), "{error}");
    }
}

#[test]
fn output_is_appended_to_a_file_and_there_when_the_port_goes() {
    let path = fresh_path("log");
    for line in ["first\n", "second\n"] {
        Bench::backend(&SerialBackend::File(path.clone())).print(line.as_bytes());
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\nsecond\n");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let backend = SerialBackend::File("/nowhere/at/all".into());
    let error = Serial::new("com1", Irq::new().unwrap(), &backend, StopLine::new().unwrap()).err().unwrap();
    assert!(error.to_string().starts_with("console file /nowhere/at/all: No such file"), "{error}");
}

#[test]
fn input_interrupts_and_arrives_whole_through_a_full_fifo() {
    let (read_end, mut write_end) = pipe().unwrap();
    let mut bench = Bench::input(read_end, None).resumed();
    bench.write(IER, 1);
    let typed: Vec<u8> = (0..1_000).map(|n| n as u8).collect();
    write_end.write_all(&typed).unwrap();
    let mut received = Vec::new();
    while received.len() < typed.len() {
        bench.turn();
        assert!(bench.irq.event().read().is_ok(), "no interrupt after {} bytes", received.len());
        let part = bench.drain();
        assert!((1..=64).contains(&part.len()));
        received.extend(part);
    }
    assert_eq!(received, typed);
}

#[test]
fn a_full_fifo_and_an_ended_input_leave_the_loop_asleep() {
    let (read_end, mut write_end) = pipe().unwrap();
    let mut bench = Bench::input(read_end, None).resumed();
    write_end.write_all(&[b'x'; 100]).unwrap();
    drop(write_end);
    bench.turn();
    assert_eq!(bench.turn(), 0, "with a full FIFO");
    assert_eq!(bench.drain().len(), 64);
    bench.turn();
    assert_eq!(bench.drain().len(), 36);
    assert!(bench.turn() < 5);
    assert_eq!(bench.turn(), 0, "after the end of input");
}

#[test]
fn files_and_dev_null_are_read_to_their_end_without_spinning() {
    let mut null = Bench::input(File::open("/dev/null").unwrap(), None).resumed();
    assert!(null.turn() < 5);
    assert_eq!((null.turn(), null.drain().len()), (0, 0));

    let path = fresh_path("script");
    std::fs::write(&path, [b'y'; 150]).unwrap();
    let mut script = Bench::input(File::open(&path).unwrap(), None).resumed();
    let lengths = [(); 4].map(|()| {
        script.turn();
        script.drain().len()
    });
    assert_eq!(lengths, [64, 64, 22, 0]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_guest_in_loopback_cannot_make_an_endless_input_spin() {
    let bench = Bench::input(File::open("/dev/zero").unwrap(), None);
    bench.write(MCR, 1 << 4);
    let mut bench = bench.resumed();
    assert!(bench.turn() < 5);
    assert_eq!(bench.drain(), b"");
    bench.write(MCR, 0);
    bench.turn();
    assert_eq!(bench.drain(), [0; 64]);
}

#[test]
fn a_paused_port_takes_no_input_and_loses_none() {
    let (read_end, mut write_end) = pipe().unwrap();
    let mut bench = Bench::input(read_end, None);
    write_end.write_all(b"early").unwrap();
    bench.turn();
    assert_eq!(bench.drain(), b"");
    bench.port.lock().unwrap().resume();
    bench.turn();
    assert_eq!(bench.drain(), b"early");
    bench.port.lock().unwrap().pause();
    write_end.write_all(b"late").unwrap();
    assert!(bench.turn() < 5);
    assert_eq!((bench.turn(), bench.drain().len()), (0, 0));
    bench.port.lock().unwrap().resume();
    bench.turn();
    assert_eq!(bench.drain(), b"late");
}

#[test]
fn the_quit_keys_ask_for_a_stop_and_reach_no_guest() {
    let (read_end, mut write_end) = pipe().unwrap();
    let mut bench = Bench::input(read_end, Some(Escape::default())).resumed();
    write_end.write_all(b"a\x01").unwrap();
    bench.turn();
    write_end.write_all(b"xb").unwrap();
    bench.turn();
    assert_eq!(bench.drain(), b"ab");
    assert_eq!(bench.stop.asked(), Some(Stop::Quit));
}

#[test]
fn a_client_sees_what_it_missed_types_and_may_be_followed_by_another() {
    let path = fresh_path("socket");
    let mut bench = socket_bench(&path);
    bench.print(b"before ");
    let mut first = UnixStream::connect(&path).unwrap();
    bench.turn();
    bench.print(b"after");
    assert_reads(&mut first, b"before after");
    first.write_all(b"hi").unwrap();
    bench.turn();
    assert_eq!(bench.drain(), b"hi");

    let mut second = UnixStream::connect(&path).unwrap();
    second.write_all(b"me too").unwrap();
    bench.turn();
    assert_eq!(bench.drain(), b"", "one client at a time");
    drop(first);
    bench.turn();
    assert_eq!(bench.drain(), b"me too");
    bench.print(b"welcome");
    assert_reads(&mut second, b"welcome");

    drop(second);
    bench.turn();
    bench.print(b"kept");
    assert!(!bench.flush(), "nobody is there to read it");
    let mut third = UnixStream::connect(&path).unwrap();
    bench.turn();
    assert_reads(&mut third, b"kept");
}

#[test]
fn a_client_that_never_reads_stalls_nobody_and_the_latest_output_wins() {
    let path = fresh_path("slow");
    let mut bench = socket_bench(&path);
    let mut client = UnixStream::connect(&path).unwrap();
    bench.turn();
    let output = bench.port.lock().unwrap().output();
    // Fills the socket's buffers until the thread is stuck in a write.
    let filled = (1..1_000).find(|_| {
        output.push(&[b'.'; 4096]);
        !output.flush(Duration::from_millis(50))
    });
    let start = Instant::now();
    (0..256).for_each(|_| output.push(&[b'-'; 4096]));
    output.push(b"the end");
    assert!(start.elapsed() < PATIENCE);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while !seen.ends_with(b"the end") {
        let len = client.read(&mut part).unwrap();
        seen.extend(&part[..len]);
    }
    let filled = filled.expect("a socket's buffers have an end") * 4096;
    assert!(
        (BUFFER_BYTES..=filled + BUFFER_BYTES).contains(&seen.len()),
        "{} bytes after {filled}",
        seen.len()
    );
    assert!(output.flush(PATIENCE));
}

#[test]
fn a_client_that_neither_reads_nor_types_any_more_makes_room_for_the_next() {
    let path = fresh_path("stuck");
    let mut bench = socket_bench(&path);
    let first = UnixStream::connect(&path).unwrap();
    bench.turn();
    let output = bench.port.lock().unwrap().output();
    while output.flush(Duration::from_millis(50)) {
        output.push(&[b'.'; BUFFER_BYTES]);
    }
    // The thread sits in a write to it now; it says that it will not type, and still does not read.
    first.shutdown(Shutdown::Write).unwrap();
    bench.turn();
    let mut second = UnixStream::connect(&path).unwrap();
    bench.turn();
    output.push(&[b'+'; BUFFER_BYTES]);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut part = [0; 4096];
    while !part.contains(&b'+') {
        assert_ne!(second.read(&mut part).unwrap(), 0);
    }
}

#[test]
fn without_a_client_the_latest_output_is_kept_and_no_more() {
    let path = fresh_path("absent");
    let mut bench = socket_bench(&path);
    bench.print(&[b'-'; 100]);
    bench.print(&[b'+'; BUFFER_BYTES]);
    let mut client = UnixStream::connect(&path).unwrap();
    bench.turn();
    assert_reads(&mut client, &[b'+'; BUFFER_BYTES]);
    bench.print(b"now");
    assert_reads(&mut client, b"now");
}

#[test]
fn a_socket_in_use_is_refused_a_stale_one_replaced_and_removed_at_the_end() {
    let path = fresh_path("in-use");
    let backend = SerialBackend::Socket(path.clone());
    let make = || Serial::new("com1", Irq::new().unwrap(), &backend, StopLine::new().unwrap());
    let first = make().unwrap();
    let error = make().err().unwrap();
    assert!(
        matches!(error, SerialError::SocketInUse { .. }) && error.to_string().contains("in use"),
        "{error}"
    );
    drop(first);
    assert!(!path.exists());

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead process leaves its socket");
    drop(make().unwrap());

    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(make().err().unwrap(), SerialError::SocketInUse { .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn registers_and_unread_bytes_move_and_a_pending_interrupt_is_raised_again() {
    let (read_end, mut write_end) = pipe().unwrap();
    let mut source = Bench::input(read_end, None).resumed();
    source.write(IER, 1);
    source.write(7, 0x5a);
    write_end.write_all(b"unread").unwrap();
    source.turn();
    source.port.lock().unwrap().pause();
    let section = source.port.lock().unwrap().save_section().unwrap();

    let target = Bench::backend(&SerialBackend::Null);
    target.port.lock().unwrap().restore_section(&section).unwrap();
    // Whatever was raised so far may be lost when the interrupt controller's state is restored after this.
    let _ = target.irq.event().read();
    let target = target.resumed();
    assert!(target.irq.event().read().is_ok());
    assert_eq!((target.read(IER), target.read(7)), (1, 0x5a));
    assert_eq!(target.drain(), b"unread");
    assert!(source.flush());
}

#[test]
fn states_that_cannot_be_are_refused_in_words() {
    let mut port =
        Serial::new("com1", Irq::new().unwrap(), &SerialBackend::Null, StopLine::new().unwrap()).unwrap();
    let good = || port.save().unwrap();
    let refusals = [
        (SerialState { in_buffer: vec![1], ..good() }, "line status"),
        (SerialState { line_status: 0x61, ..good() }, "line status"),
        (SerialState { line_status: 0x61, in_buffer: vec![0; 65], ..good() }, "FIFO"),
        (SerialState { interrupt_identification: 0, ..good() }, "interrupt identification"),
        (SerialState { interrupt_identification: 0xff, ..good() }, "interrupt identification"),
    ];
    for (bad, word) in refusals {
        let error = port.restore(&bad).unwrap_err().to_string();
        assert!(error.starts_with("'com1': ") && error.contains(word), "{error}");
    }
}
