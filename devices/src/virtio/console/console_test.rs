//! The driver learns which ports there are and who is there; bytes go both ways, none is lost that somebody waits for, and a
//! move keeps what the guest knows. No driver makes the device panic, spin or wait.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use godwit_state::Save;
use proptest::prelude::*;
use vmm_sys_util::tempdir::TempDir;

use super::{CONTROL_RECEIVE, CONTROL_TRANSMIT, Console, ConsoleState, F_MULTIPORT, PortState};
use crate::{
    Lifecycle, StopLine,
    virtio::{
        driver_test::{BUFFERS, Driver, SIZE, WRITE},
        registers::{F_EVENT_IDX, STATUS},
    },
};

/// Queues of the console and of the agent's port.
const CONSOLE: (usize, usize) = (0, 1);
const AGENT: (usize, usize) = (4, 5);
/// Buffers: of a queue, then of the head of a chain.
const BUFFER_BYTES: u64 = 0x2000;
/// More buffers than a socket takes.
const ENDLESS: usize = 1000;

fn place(queue: usize, head: u16) -> u64 {
    BUFFERS + (queue as u64 * u64::from(SIZE) + u64::from(head % SIZE)) * BUFFER_BYTES
}

fn device(ports: &[String]) -> Result<Console, super::ConsoleError> {
    let ports: Vec<_> = ports.iter().map(|port| port.parse().unwrap()).collect();
    Console::new(&ports.iter().collect::<Vec<_>>(), StopLine::new().unwrap())
}

struct Guest {
    driver: Driver<Console>,
    /// Chains that were offered, by queue.
    offered: [u16; 6],
    folder: TempDir,
}

impl Guest {
    /// A console in a file and an agent's socket, a driver that has not said anything yet.
    fn new(features: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let driver = Driver::ready(Self::device_in(&folder, "here"), F_MULTIPORT | features);
        let mut guest = Self { driver, offered: [0; 6], folder };
        for queue in [CONSOLE.0, CONTROL_RECEIVE, AGENT.0] {
            (0..SIZE).for_each(|_| guest.give_room(queue));
            guest.driver.notify(queue);
        }
        guest
    }

    fn device_in(folder: &TempDir, name: &str) -> Console {
        let path = |what: &str| folder.as_path().join(format!("{name}.{what}")).display().to_string();
        device(&[format!("file={}", path("log")), format!("name=agent,socket={}", path("agent"))]).unwrap()
    }

    /// Both ports known to the driver, the agent's open in the guest, and a client there.
    fn at_work() -> (Self, UnixStream) {
        let mut guest = Self::new(F_EVENT_IDX);
        guest.say(0, 0, 1);
        guest.say(0, 3, 1);
        guest.say(1, 3, 1);
        guest.say(1, 6, 1);
        let client = guest.client("here");
        guest.told();
        (guest, client)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.as_path().join(name)
    }

    fn client(&mut self, name: &str) -> UnixStream {
        let client = UnixStream::connect(self.path(&format!("{name}.agent"))).unwrap();
        client.set_nonblocking(true).unwrap();
        self.driver.turn();
        client
    }

    fn give_room(&mut self, queue: usize) {
        let at = place(queue, self.offered[queue]);
        self.offered[queue] = self.offered[queue].wrapping_add(1);
        self.driver.offer(queue, &[(at, BUFFER_BYTES as u32, WRITE)]);
    }

    /// What has come by a queue, each piece by itself; the buffers are given back.
    fn came(&mut self, queue: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            self.driver.turn();
            let used = self.driver.used(queue);
            if used.is_empty() {
                return all;
            }
            for (head, len) in used {
                all.push(self.driver.bytes(place(queue, head), len as usize));
                self.give_room(queue);
            }
            self.driver.notify(queue);
        }
    }

    /// Messages about ports: port, event, value, name.
    fn told(&mut self) -> Vec<(u32, u16, u16, String)> {
        let message = |bytes: Vec<u8>| {
            let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
            let port = u32::from(half(0)) | u32::from(half(2)) << 16;
            (port, half(4), half(6), String::from_utf8(bytes[8..].to_vec()).unwrap())
        };
        self.came(CONTROL_RECEIVE).into_iter().map(message).collect()
    }

    /// Makes bytes available in a queue, and says so.
    fn send(&mut self, queue: usize, bytes: &[u8]) {
        let at = place(queue, self.offered[queue]);
        self.offered[queue] = self.offered[queue].wrapping_add(1);
        self.driver.put(at, bytes);
        self.driver.offer(queue, &[(at, bytes.len() as u32, 0)]);
        self.driver.notify(queue);
    }

    fn say(&mut self, port: u32, event: u16, value: u16) {
        let message = [&port.to_le_bytes()[..], &event.to_le_bytes(), &value.to_le_bytes()].concat();
        self.send(CONTROL_TRANSMIT, &message);
    }
}

fn heard(mut stream: &UnixStream) -> (Vec<u8>, bool) {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (all, true),
            Ok(len) => all.extend(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (all, false),
            Err(_) => return (all, true),
        }
    }
}

fn told(port: u32, event: u16, value: u16) -> (u32, u16, u16, String) {
    (port, event, value, String::new())
}

#[test]
fn the_driver_learns_of_ports_and_of_who_is_there() {
    for features in [0, F_EVENT_IDX] {
        let mut guest = Guest::new(features);
        assert_eq!(guest.driver.config(0), [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        guest.say(0, 0, 1);
        assert_eq!(guest.told(), [told(0, 1, 1), told(1, 1, 1)]);
        guest.say(0, 3, 1);
        assert_eq!(guest.told(), [told(0, 4, 1), told(0, 6, 1)]);
        guest.say(1, 3, 1);
        assert_eq!(guest.told(), [(1, 7, 1, "agent".into())]);
        let client = guest.client("here");
        assert_eq!(guest.told(), [told(1, 6, 1)]);
        guest.say(1, 6, 1);
        drop(client);
        assert_eq!(guest.told(), [told(1, 6, 0)]);
        let _client = guest.client("here");
        assert_eq!(guest.told(), [told(1, 6, 1)]);
    }
}

#[test]
fn bytes_go_both_ways_and_wait_until_the_guest_has_opened_its_port() {
    let mut guest = Guest::new(F_EVENT_IDX);
    let mut client = guest.client("here");
    client.write_all(b"to the guest").unwrap();
    assert_eq!(guest.came(AGENT.0), Vec::<Vec<u8>>::new());
    guest.say(1, 6, 1);
    assert_eq!(guest.came(AGENT.0), [b"to the guest"]);
    client.write_all(b"more").unwrap();
    assert_eq!(guest.came(AGENT.0), [b"more"]);
    guest.send(AGENT.1, b"to the host");
    assert_eq!(heard(&client), (b"to the host".to_vec(), false));
}

#[test]
fn a_console_goes_to_its_file_and_a_socket_is_typed_at() {
    let mut guest = Guest::new(0);
    guest.send(CONSOLE.1, b"Linux version\n");
    guest.send(CONSOLE.1, b"login: ");
    let output = guest.driver.device().device().outputs().remove(0);
    assert!(output.flush(std::time::Duration::from_secs(20)));
    assert_eq!(std::fs::read(guest.path("here.log")).unwrap(), b"Linux version\nlogin: ");

    let folder = TempDir::new().unwrap();
    let path = folder.as_path().join("console");
    let console = device(&[format!("socket={}", path.display())]).unwrap();
    // A driver that knows no ports.
    let driver = Driver::ready(console, 0);
    let mut guest = Guest { driver, offered: [0; 6], folder };
    guest.give_room(CONSOLE.0);
    guest.driver.notify(CONSOLE.0);
    let client = UnixStream::connect(&path).unwrap();
    (&client).write_all(b"ls\n").unwrap();
    assert_eq!(guest.came(CONSOLE.0), [b"ls\n"]);
    guest.send(CONSOLE.1, b"init\n");
    let mut answer = [0; 5];
    (&client).read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"init\n");
}

#[test]
fn a_client_that_reads_late_gets_all_of_it_and_the_guest_waits() {
    let (mut guest, client) = Guest::at_work();
    let line: Vec<u8> = (0..BUFFER_BYTES).map(|at| (at * 7 + at / 251) as u8).collect();
    let (mut sent, mut done) = (0, 0);
    // Until the socket takes no more.
    while sent - done < 8 {
        guest.send(AGENT.1, &line);
        sent += 1;
        done += guest.driver.used(AGENT.1).len();
        assert!(sent < ENDLESS, "nothing ever waits");
    }
    let mut got = Vec::new();
    while got.len() < sent * line.len() {
        let (part, ended) = heard(&client);
        assert!(!ended && !part.is_empty(), "{} of {}", got.len(), sent * line.len());
        got.extend(part);
        guest.driver.turn();
        done += guest.driver.used(AGENT.1).len();
    }
    assert_eq!(done, sent);
    assert!(got == line.repeat(sent));
}

#[test]
fn what_nobody_is_there_for_is_dropped_and_a_client_that_goes_ends_the_wait() {
    let mut guest = Guest::new(0);
    guest.send(AGENT.1, b"anybody?");
    assert_eq!(guest.driver.used(AGENT.1).len(), 1);
    let (mut guest, client) = Guest::at_work();
    let (mut sent, mut done) = (0, 0);
    while sent - done < 8 {
        guest.send(AGENT.1, &[0x5a; BUFFER_BYTES as usize]);
        sent += 1;
        done += guest.driver.used(AGENT.1).len();
        assert!(sent < ENDLESS, "nothing ever waits");
    }
    drop(client);
    guest.driver.turn();
    assert_eq!(guest.driver.used(AGENT.1).len(), sent - done);
    assert_eq!(guest.told(), [told(1, 6, 0)]);
}

#[test]
fn a_move_keeps_what_the_guest_knows_and_tells_it_who_is_there_now() {
    let (guest, client) = Guest::at_work();
    let there = Guest::device_in(&guest.folder, "there");
    let mut guest = Guest { driver: guest.driver.moved_to(there), ..guest };
    assert!(heard(&client).1);
    assert_eq!(guest.told(), [told(1, 6, 0)]);
    let mut client = guest.client("there");
    assert_eq!(guest.told(), [told(1, 6, 1)]);
    // It has not closed its port, and need not open it again.
    client.write_all(b"hello").unwrap();
    assert_eq!(guest.came(AGENT.0), [b"hello"]);
    guest.send(CONSOLE.1, b"here I am\n");
    assert_eq!(guest.driver.used(CONSOLE.1).len(), 1);
}

#[test]
fn a_message_that_waits_is_sent_where_the_guest_goes() {
    let mut guest = Guest::new(0);
    guest.driver.device().pause();
    guest.say(0, 0, 1);
    let there = Guest::device_in(&guest.folder, "there");
    let mut guest = Guest { driver: guest.driver.moved_to(there), ..guest };
    assert_eq!(guest.told(), [told(0, 1, 1), told(1, 1, 1)]);
}

#[test]
fn giving_the_guest_up_ends_the_client() {
    let (mut guest, client) = Guest::at_work();
    guest.driver.device().pause();
    assert_eq!(heard(&client), (vec![], false));
    guest.driver.device().release();
    assert!(heard(&client).1);
    guest.driver.device().resume();
    assert_eq!(guest.told(), [told(1, 6, 0)]);
}

#[test]
fn other_ports_than_the_guests_are_refused() {
    let refused = |ports: &[&str]| {
        let ports = ports.iter().map(|name| PortState {
            name: (*name).into(),
            guest_open: false,
            told_open: false,
            owed: 0,
        });
        let state = ConsoleState { ports: ports.collect() };
        device(&["null".into(), "name=agent,null".into()]).unwrap().restore(&state).unwrap_err().to_string()
    };
    assert!(refused(&[""]).contains("the guest has 1 console ports, this side 2"));
    assert!(refused(&["", "other"]).contains("the guest's port is 'other', this one 'agent'"));
    assert!(refused(&["agent", ""]).contains("the guest's port is 'agent', this one a console"));
}

#[test]
fn ports_that_cannot_be_told_apart_or_are_too_many_are_refused() {
    let refused = |ports: &[&str]| {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        device(&ports).err().unwrap().to_string()
    };
    assert_eq!(refused(&["null", "null"]), "two console ports have no name; give all but one a name");
    let twice = refused(&["name=a,null", "null", "name=a,null"]);
    assert_eq!(twice, "two console ports are called 'a'; give each its own name");
    assert_eq!(refused(&["null"; 9]), "9 console ports are too many; the most is 8");
}

/// A buffer: address, length and flags.
type Buffer = (u64, u32, u16);

#[test]
fn chains_that_cannot_be_ask_for_a_reset() {
    let (at, far) = (BUFFERS, 3 << 20);
    let wrong: [(usize, &[Buffer]); 5] = [
        (CONSOLE.1, &[(at, 8, WRITE)]),
        (AGENT.1, &[(at, 0x10_0000, 0), (far, 1, 0)]),
        (CONTROL_TRANSMIT, &[(at, 7, 0)]),
        (CONTROL_TRANSMIT, &[(at, 8, WRITE)]),
        (AGENT.1, &[(u64::MAX, 8, 0)]),
    ];
    for (queue, chain) in wrong {
        let mut guest = Guest::new(0);
        guest.driver.offer(queue, chain);
        guest.driver.notify(queue);
        assert!(guest.driver.needs_reset(), "{queue} {chain:?}");
        // And after that it is as new.
        guest.driver.write(STATUS, 0);
        guest.driver.start(F_MULTIPORT);
        assert!(!guest.driver.needs_reset());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_a_driver_says_the_device_lives(
        said in prop::collection::vec((0..6_usize, prop_oneof![0..3_u32, any::<u32>()], 0..9_u16, 0..2_u16), 1..60),
    ) {
        let mut guest = Guest::new(0);
        let mut client = guest.client("here");
        for (queue, port, event, value) in said {
            match queue {
                0 => client = guest.client("here"),
                2 | 4 => drop(guest.came(queue)),
                3 => guest.say(port, event, value),
                _ => guest.send(queue, &event.to_le_bytes()),
            }
            let _ = client.write_all(b"x");
            heard(&client);
            guest.driver.turn();
        }
        prop_assert!(!guest.driver.needs_reset());
        let state = guest.driver.device().device().save().unwrap();
        prop_assert!(Guest::device_in(&guest.folder, "there").restore(&state).is_ok());
    }
}
