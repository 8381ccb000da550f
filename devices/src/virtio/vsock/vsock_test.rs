//! Streams in both directions carry what they are given, nobody is sent more than there is room for, a move ends them on
//! both sides, and no driver makes the device panic, spin or grow.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use vmm_sys_util::tempdir::TempDir;

use super::{EVENT, RECEIVE, TRANSMIT, Vsock, VsockConfig, packet::*, streams::*};
use crate::{
    Lifecycle,
    virtio::{
        driver_test::{BUFFERS, Driver, SIZE, WRITE},
        registers::{F_EVENT_IDX, STATUS},
    },
};

const CID: u32 = 3;
/// Where a packet of the driver stands, and where buffers for packets to it; by the head of their chain.
const SENT: u64 = 0x20_0000;
const SENT_BYTES: u64 = 0x2_0000;
const ROOM: u64 = BUFFERS;
const ROOM_BYTES: u32 = 0x2000;
const EVENTS_AT: u64 = BUFFERS + 0x8_0000;
/// What the guest keeps for a stream, where a test does not say otherwise.
const GUEST_BUFFER: u32 = 1 << 20;

/// A device at a path of this folder.
fn device_at(path: &Path) -> Vsock {
    Vsock::new(&VsockConfig { cid: CID, socket: path.into() }).unwrap()
}

/// A device of its own, whose socket nobody finds.
pub(crate) fn vsock_alone() -> Vsock {
    let folder = TempDir::new().unwrap();
    device_at(&folder.as_path().join("vsock"))
}

/// A guest: a driver with buffers, and what it was sent.
struct Guest {
    driver: Driver<Vsock>,
    /// Buffers and packets that were offered.
    buffers: u16,
    packets: u16,
    folder: TempDir,
}

impl Guest {
    fn new() -> Self {
        Self::of(0)
    }

    fn of(features: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let driver = Driver::ready(device_at(&folder.as_path().join("vsock")), features);
        let mut guest = Self { driver, buffers: 0, packets: 0, folder };
        (0..SIZE).for_each(|_| guest.give_room());
        guest.driver.notify(RECEIVE);
        guest
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.as_path().join(name)
    }

    /// A client of the host at the device's socket.
    fn client(&self) -> UnixStream {
        non_blocking(UnixStream::connect(self.path("vsock")).unwrap())
    }

    /// A client that has said where it wants to go.
    fn client_to(&self, port: u32) -> UnixStream {
        let mut client = self.client();
        writeln!(client, "CONNECT {port}").unwrap();
        client
    }

    fn give_room(&mut self) {
        let head = u64::from(self.buffers % SIZE);
        self.buffers = self.buffers.wrapping_add(1);
        self.driver.offer(RECEIVE, &[(ROOM + head * u64::from(ROOM_BYTES), ROOM_BYTES, WRITE)]);
    }

    /// What has come since the last call; the buffers are given back.
    fn received(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut all = Vec::new();
        loop {
            self.driver.turn();
            let used = self.driver.used(RECEIVE);
            if used.is_empty() {
                return all;
            }
            for (head, len) in used {
                let at = ROOM + u64::from(head) * u64::from(ROOM_BYTES);
                let bytes = self.driver.bytes(at, len as usize);
                let (header, data) = bytes.split_first_chunk().unwrap();
                let header = Header::parse(header);
                assert_eq!((header.dst_cid, header.len as usize), (CID.into(), data.len()));
                all.push((header, data.to_vec()));
                self.give_room();
            }
            self.driver.notify(RECEIVE);
        }
    }

    /// The one packet that has come.
    fn one(&mut self) -> (Header, Vec<u8>) {
        let all = self.received();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    /// Operations that have come.
    fn ops(&mut self) -> Vec<u16> {
        self.received().iter().map(|(header, _)| header.op).collect()
    }

    /// Makes a packet available, without notifying.
    fn put(&mut self, header: &Header, data: &[u8]) {
        let header = Header { len: data.len() as u32, ..*header };
        let at = SENT + u64::from(self.packets % SIZE) * SENT_BYTES;
        self.packets = self.packets.wrapping_add(1);
        let bytes = [&header.bytes(), data].concat();
        self.driver.put(at, &bytes);
        self.driver.offer(TRANSMIT, &[(at, bytes.len() as u32, 0)]);
    }

    fn send(&mut self, header: &Header, data: &[u8]) {
        self.put(header, data);
        self.driver.notify(TRANSMIT);
    }
}

/// A packet of the guest from its port to one of the host's.
fn from(guest_port: u32, host_port: u32, op: u16) -> Header {
    Header {
        src_cid: CID.into(),
        dst_cid: HOST_CID,
        src_port: guest_port,
        dst_port: host_port,
        kind: STREAM,
        op,
        buf_alloc: GUEST_BUFFER,
        ..Header::default()
    }
}

fn non_blocking(stream: UnixStream) -> UnixStream {
    stream.set_nonblocking(true).unwrap();
    stream
}

/// What is there to read now, and whether that is the end.
fn heard(stream: &mut UnixStream) -> (Vec<u8>, bool) {
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

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// A stream that a client of the host has asked for; its port of the host.
fn opened(guest: &mut Guest, port: u32) -> (UnixStream, u32) {
    let mut client = guest.client_to(port);
    let (request, _) = guest.one();
    assert_eq!((request.op, request.kind, request.src_cid), (REQUEST, STREAM, HOST_CID));
    assert_eq!((request.dst_port, request.fwd_cnt), (port, 0));
    assert_eq!(heard(&mut client), (vec![], false));
    guest.send(&from(port, request.src_port, RESPONSE), &[]);
    assert_eq!(heard(&mut client), (format!("OK {}\n", request.src_port).into_bytes(), false));
    (client, request.src_port)
}

#[test]
fn the_driver_reads_the_guests_address() {
    let guest = Guest::new();
    assert_eq!(guest.driver.config(0), [3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_client_of_the_host_reaches_a_port_of_the_guest_and_both_say_what_they_like() {
    for features in [0, F_EVENT_IDX] {
        let mut guest = Guest::of(features);
        let (mut client, port) = opened(&mut guest, 5000);
        assert_eq!(port, FIRST_PORT);
        let data = pattern(20_000);
        client.write_all(&data).unwrap();
        let packets = guest.received();
        assert!(packets.iter().all(|(header, _)| header.op == RW && header.src_port == port));
        assert_eq!(packets.into_iter().flat_map(|(_, data)| data).collect::<Vec<u8>>(), data);
        guest.send(&from(5000, port, RW), &data);
        assert_eq!(heard(&mut client), (data, false));
        assert_eq!(guest.ops(), [CREDIT_UPDATE]);
        // The second client has another port.
        assert_eq!(opened(&mut guest, 5000).1, port + 1);
    }
}

#[test]
fn an_end_in_one_direction_leaves_the_other() {
    let mut guest = Guest::new();
    let (mut client, port) = opened(&mut guest, 7);
    client.write_all(b"last words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let packets = guest.received();
    assert_eq!(packets[0].1, b"last words");
    assert_eq!((packets[1].0.op, packets[1].0.flags, packets.len()), (SHUTDOWN, SHUTDOWN_SEND, 2));
    guest.send(&from(7, port, RW), b"an answer");
    guest.send(&Header { flags: SHUTDOWN_SEND, ..from(7, port, SHUTDOWN) }, &[]);
    assert_eq!(heard(&mut client), (b"an answer".to_vec(), true));
    guest.send(&Header { flags: SHUTDOWN_SEND | SHUTDOWN_RECEIVE, ..from(7, port, SHUTDOWN) }, &[]);
    assert!(guest.ops().contains(&RST));
}

#[test]
fn a_client_that_closes_is_told_to_the_guest_behind_its_last_data() {
    let mut guest = Guest::new();
    let (mut client, port) = opened(&mut guest, 7);
    client.write_all(b"last words").unwrap();
    drop(client);
    let packets = guest.received();
    let data: Vec<u8> = packets.iter().flat_map(|(_, data)| data.clone()).collect();
    assert_eq!(data, b"last words");
    let (end, _) = packets.last().unwrap();
    assert_eq!((end.op, end.flags), (SHUTDOWN, SHUTDOWN_SEND | SHUTDOWN_RECEIVE));
    guest.send(&from(7, port, RST), &[]);
    // Nothing is known of it any more.
    guest.send(&from(7, port, CREDIT_UPDATE), &[]);
    assert_eq!(guest.ops(), [RST]);
}

#[test]
fn a_refusal_of_the_guest_ends_the_client() {
    let mut guest = Guest::new();
    let mut client = guest.client_to(9);
    let (request, _) = guest.one();
    guest.send(&from(9, request.src_port, RST), &[]);
    assert_eq!(heard(&mut client), (vec![], true));
    assert_eq!(guest.ops(), [] as [u16; 0]);
}

#[test]
fn a_client_that_goes_before_the_guest_has_answered_is_forgotten() {
    let mut guest = Guest::new();
    let client = guest.client_to(9);
    let (request, _) = guest.one();
    drop(client);
    let (reset, _) = guest.one();
    assert_eq!((reset.op, reset.src_port, reset.dst_port), (RST, request.src_port, 9));
}

#[test]
fn what_stands_behind_the_first_line_is_the_guests() {
    let mut guest = Guest::new();
    let mut client = guest.client();
    for part in ["CONN", "ECT 50", "00\nhello"] {
        assert_eq!(guest.ops(), [] as [u16; 0]);
        client.write_all(part.as_bytes()).unwrap();
    }
    let (request, _) = guest.one();
    guest.send(&from(5000, request.src_port, RESPONSE), &[]);
    assert_eq!(guest.one().1, b"hello");
}

#[test]
fn a_client_that_says_something_else_is_hung_up_on() {
    let mut guest = Guest::new();
    let lines = [
        "GET / HTTP/1.1\n",
        "CONNECT \n",
        "CONNECT +5\n",
        "CONNECT 4294967296\n",
        "connect 5\n",
        "CONNECT 00000000000000000000",
    ];
    for line in lines {
        let mut client = guest.client();
        client.write_all(line.as_bytes()).unwrap();
        guest.driver.turn();
        assert_eq!(heard(&mut client), (vec![], true), "{line:?}");
    }
    assert_eq!(guest.ops(), [] as [u16; 0]);
}

/// A stream that the guest has asked for, to `port` of the host.
fn asked(guest: &mut Guest, listener: &UnixListener, header: &Header) -> UnixStream {
    guest.send(header, &[]);
    let (response, _) = guest.one();
    assert_eq!(
        (response.op, response.src_port, response.dst_port),
        (RESPONSE, header.dst_port, header.src_port)
    );
    non_blocking(listener.accept().unwrap().0)
}

#[test]
fn the_guest_reaches_who_listens_on_the_host_and_is_refused_where_nobody_does() {
    let mut guest = Guest::new();
    guest.send(&from(40, 1234, REQUEST), &[]);
    let (reset, _) = guest.one();
    assert_eq!((reset.op, reset.src_port, reset.dst_port, reset.src_cid), (RST, 1234, 40, HOST_CID));
    let listener = UnixListener::bind(guest.path("vsock_1234")).unwrap();
    let mut host = asked(&mut guest, &listener, &from(41, 1234, REQUEST));
    guest.send(&from(41, 1234, RW), b"to the host");
    host.write_all(b"to the guest").unwrap();
    assert_eq!(heard(&mut host), (b"to the host".to_vec(), false));
    assert_eq!(guest.one().1, b"to the guest");
    // Somebody other than the host.
    guest.send(&Header { dst_cid: 9, ..from(41, 1234, REQUEST) }, &[]);
    assert_eq!(guest.one().0.src_cid, 9);
    // A second request for a stream that there is.
    guest.send(&from(41, 1234, REQUEST), &[]);
    assert_eq!(guest.ops(), [RST]);
    assert!(heard(&mut host).1);
}

#[test]
fn the_guest_is_sent_no_more_than_it_has_room_for() {
    let mut guest = Guest::new();
    let listener = UnixListener::bind(guest.path("vsock_1")).unwrap();
    let mut host = asked(&mut guest, &listener, &Header { buf_alloc: 100, ..from(2, 1, REQUEST) });
    let data = pattern(250);
    host.write_all(&data).unwrap();
    let packets = guest.received();
    assert_eq!((packets[0].0.op, packets[0].1.as_slice()), (RW, &data[..100]));
    assert_eq!((packets[1].0.op, packets.len()), (CREDIT_REQUEST, 2));
    // It is asked once. Room that makes no sense is none.
    guest.send(&Header { buf_alloc: 100, fwd_cnt: 101, ..from(2, 1, CREDIT_UPDATE) }, &[]);
    assert_eq!(guest.ops(), [] as [u16; 0]);
    guest.send(&Header { buf_alloc: 100, fwd_cnt: 60, ..from(2, 1, CREDIT_UPDATE) }, &[]);
    let packets = guest.received();
    assert_eq!((packets[0].1.as_slice(), packets[1].0.op), (&data[100..160], CREDIT_REQUEST));
    guest.send(&Header { fwd_cnt: 160, ..from(2, 1, CREDIT_UPDATE) }, &[]);
    assert_eq!(guest.one().1, data[160..]);
}

#[test]
fn a_slow_host_slows_the_guest_and_gets_all_of_it() {
    let mut guest = Guest::new();
    let (mut client, port) = opened(&mut guest, 7);
    let data = pattern(3 << 20);
    let (mut sent, mut got, mut stalls) = (0, Vec::new(), 0);
    // What the device says of its room.
    guest.send(&from(7, port, CREDIT_REQUEST), &[]);
    let (mut told, _) = guest.one();
    assert_eq!((told.op, told.fwd_cnt), (CREDIT_UPDATE, 0));
    while got.len() < data.len() {
        let room = told.buf_alloc as usize - (sent - told.fwd_cnt as usize);
        let len = room.min(10_000).min(data.len() - sent);
        if len > 0 {
            guest.send(&from(7, port, RW), &data[sent..sent + len]);
            sent += len;
        }
        if let Some((newest, _)) = guest.received().last() {
            told = *newest;
            assert_eq!(told.op, CREDIT_UPDATE);
        } else if len == 0 {
            stalls += 1;
            let (part, ended) = heard(&mut client);
            assert!(!ended && !part.is_empty(), "{sent} sent, {} got", got.len());
            got.extend(part);
        }
    }
    assert!(stalls > 1 && got == data, "{stalls}");
}

#[test]
fn more_than_there_was_room_for_ends_the_stream() {
    let mut guest = Guest::new();
    let (mut client, port) = opened(&mut guest, 7);
    let mut ops = Vec::new();
    // A socket takes some; nobody reads.
    for _ in 0..64 {
        guest.send(&from(7, port, RW), &[0x5a; 0x1_0000]);
        ops.extend(guest.ops());
    }
    assert!(ops.contains(&RST), "{ops:?}");
    assert!(heard(&mut client).1);
    assert!(!guest.driver.needs_reset());
}

#[test]
fn what_the_guest_sent_before_it_closed_reaches_a_host_that_reads_late() {
    let mut guest = Guest::new();
    let (mut client, port) = opened(&mut guest, 7);
    let mut sent = 0;
    // Until the socket takes no more, and some waits in the device.
    let mut told = 0;
    while u32::from(sent) * 0x4000 - told <= 0x8000 {
        guest.send(&from(7, port, RW), &[sent; 0x4000]);
        sent += 1;
        told = guest.received().last().map_or(told, |(update, _)| update.fwd_cnt);
    }
    guest.send(&Header { flags: SHUTDOWN_SEND | SHUTDOWN_RECEIVE, ..from(7, port, SHUTDOWN) }, &[]);
    assert!(guest.ops().contains(&RST));
    let mut got = Vec::new();
    guest.driver.turn_until(|_| {
        let (part, ended) = heard(&mut client);
        got.extend(part);
        ended.then_some(())
    });
    let expected: Vec<u8> = (0..sent).flat_map(|slot| [slot; 0x4000]).collect();
    assert!(got == expected, "{} of {}", got.len(), expected.len());
}

#[test]
fn streams_are_bounded_and_who_comes_then_waits_or_is_refused() {
    let mut guest = Guest::new();
    let listener = UnixListener::bind(guest.path("vsock_1")).unwrap();
    for port in 0..MOST_STREAMS as u32 {
        // The host's end is closed, and the guest takes no notice.
        guest.send(&from(port, 1, REQUEST), &[]);
        drop(listener.accept().unwrap());
        guest.received();
    }
    guest.send(&from(MOST_STREAMS as u32, 1, REQUEST), &[]);
    assert_eq!(guest.ops(), [RST]);
    let _client = guest.client_to(5);
    assert_eq!(guest.ops(), [] as [u16; 0]);
    guest.send(&from(0, 1, RST), &[]);
    assert_eq!(guest.ops(), [REQUEST]);
}

#[test]
fn a_driver_that_takes_no_answers_is_not_listened_to_until_it_does() {
    let folder = TempDir::new().unwrap();
    let driver = Driver::ready(device_at(&folder.as_path().join("vsock")), 0);
    let mut guest = Guest { driver, buffers: 0, packets: 0, folder };
    let (mut offered, mut taken) = (0, 0);
    // Each asks for an answer.
    while offered < 1000 {
        guest.put(&from(1, 2, CREDIT_REQUEST), &[]);
        offered += 1;
        guest.driver.notify(TRANSMIT);
        let used = guest.driver.used(TRANSMIT).len();
        taken += used;
        if used == 0 {
            break;
        }
    }
    assert!((256..300).contains(&taken), "{taken} of {offered}");
    (0..SIZE).for_each(|_| guest.give_room());
    guest.driver.notify(RECEIVE);
    assert_eq!(guest.ops().len(), offered);
}

#[test]
fn a_move_ends_streams_on_both_sides_and_new_ones_come() {
    for features in [0, F_EVENT_IDX] {
        let mut guest = Guest::of(features);
        let (mut client, port) = opened(&mut guest, 7);
        guest.driver.offer(EVENT, &[(EVENTS_AT, 4, WRITE)]);
        guest.driver.put(EVENTS_AT, &[0xff; 4]);
        guest.driver.notify(EVENT);
        assert_eq!(guest.driver.used(EVENT), []);
        let there = device_at(&guest.path("there"));
        let mut guest = Guest { driver: guest.driver.moved_to(there), ..guest };
        assert!(heard(&mut client).1);
        guest.driver.turn();
        assert_eq!(guest.driver.used(EVENT), [(0, 4)]);
        assert_eq!(guest.driver.bytes(EVENTS_AT, 4), [0; 4]);
        // Told once.
        guest.driver.offer(EVENT, &[(EVENTS_AT, 4, WRITE)]);
        guest.driver.notify(EVENT);
        assert_eq!(guest.driver.used(EVENT), []);
        // What the guest still says on the old stream finds nobody; the new one is not taken for it.
        guest.send(&from(7, port, RW), b"hello?");
        assert_eq!(guest.ops(), [RST]);
        let mut client = non_blocking(UnixStream::connect(guest.path("there")).unwrap());
        client.write_all(b"CONNECT 7\n").unwrap();
        let (request, _) = guest.one();
        assert_eq!((request.op, request.src_port), (REQUEST, port + 1));
    }
}

#[test]
fn an_event_waits_for_a_buffer() {
    let guest = Guest::of(F_EVENT_IDX);
    let there = device_at(&guest.path("there"));
    let mut driver = guest.driver.moved_to(there);
    driver.turn();
    driver.offer(EVENT, &[(EVENTS_AT, 4, WRITE)]);
    driver.notify(EVENT);
    assert_eq!(driver.used(EVENT), [(0, 4)]);
}

#[test]
fn a_pause_keeps_streams_and_giving_the_guest_up_ends_them() {
    let mut guest = Guest::new();
    let (mut client, port) = opened(&mut guest, 7);
    guest.driver.device().pause();
    client.write_all(b"meanwhile").unwrap();
    assert_eq!(guest.ops(), [] as [u16; 0]);
    guest.driver.device().resume();
    assert_eq!(guest.one().1, b"meanwhile");
    guest.driver.offer(EVENT, &[(EVENTS_AT, 4, WRITE)]);
    guest.driver.notify(EVENT);
    guest.driver.device().pause();
    guest.driver.device().release();
    assert!(heard(&mut client).1);
    // It comes back after all.
    guest.driver.device().resume();
    guest.driver.turn();
    assert_eq!(guest.driver.used(EVENT), [(0, 4)]);
    guest.send(&from(7, port, RW), b"hello?");
    assert_eq!(guest.ops(), [RST]);
}

#[test]
fn another_address_or_no_port_of_the_hosts_is_refused() {
    use super::VsockState;
    use godwit_state::Save;
    let refused =
        |cid, next_port| vsock_alone().restore(&VsockState { cid, next_port }).unwrap_err().to_string();
    assert!(refused(4, FIRST_PORT).contains("the guest's address is 4, this device's 3: give cid=4"));
    assert!(refused(3, FIRST_PORT - 1).contains("is none of the host's"));
}

#[test]
fn a_driver_that_resets_the_device_has_no_streams() {
    let mut guest = Guest::new();
    let (mut client, _) = opened(&mut guest, 7);
    guest.driver.write(STATUS, 0);
    assert!(heard(&mut client).1);
}

#[test]
fn the_socket_goes_with_the_device_and_one_in_use_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.as_path().join("vsock");
    let device = device_at(&path);
    let config = VsockConfig { cid: 4, socket: path.clone() };
    let refused = Vsock::new(&config).err().unwrap().to_string();
    let expected = format!(
        "vsock socket {} is in use; choose another path or end the process that listens there",
        path.display()
    );
    assert_eq!(refused, expected);
    drop(device);
    assert!(!path.exists());
}

#[test]
fn pages_that_packets_were_written_to_are_told() {
    let mut guest = Guest::new();
    let (mut client, _) = opened(&mut guest, 7);
    guest.driver.clean();
    client.write_all(b"x").unwrap();
    guest.driver.turn();
    let (head, _) = guest.driver.used(RECEIVE)[0];
    let page = (ROOM + u64::from(head) * u64::from(ROOM_BYTES)) >> 12;
    assert_eq!(guest.driver.dirty(), [Driver::<Vsock>::used_page(RECEIVE), page]);
}

/// A buffer: address, length and flags.
type Buffer = (u64, u32, u16);

#[test]
fn chains_that_are_no_packets_ask_for_a_reset() {
    let wrong: [(usize, &[Buffer]); 5] = [
        (TRANSMIT, &[(SENT, 43, 0)]),
        (TRANSMIT, &[(SENT, 44, WRITE)]),
        (RECEIVE, &[(ROOM, 44, WRITE)]),
        (RECEIVE, &[(ROOM, 4096, 0)]),
        (RECEIVE, &[(ROOM, 44, WRITE), (u64::MAX, 4096, WRITE)]),
    ];
    for (queue, chain) in wrong {
        let folder = TempDir::new().unwrap();
        let mut driver = Driver::ready(device_at(&folder.as_path().join("vsock")), 0);
        driver.offer(queue, chain);
        driver.notify(queue);
        let mut client = UnixStream::connect(folder.as_path().join("vsock")).unwrap();
        client.write_all(b"CONNECT 1\n").unwrap();
        driver.turn();
        assert!(driver.needs_reset(), "{queue} {chain:?}");
    }
    // Less data than the header says.
    let mut guest = Guest::new();
    let lie = Header { len: 1, ..from(1, 2, RW) };
    guest.driver.put(SENT, &lie.bytes());
    guest.driver.offer(TRANSMIT, &[(SENT, 44, 0)]);
    guest.driver.notify(TRANSMIT);
    assert!(guest.driver.needs_reset());
}

fn any_header() -> impl Strategy<Value = Header> {
    let port = || prop_oneof![Just(7_u32), Just(1), Just(FIRST_PORT), Just(FIRST_PORT + 1), any::<u32>()];
    let cid = || prop_oneof![4 => Just(u64::from(CID)), 4 => Just(HOST_CID), 1 => any::<u64>()];
    let numbers = (prop_oneof![Just(0_u32), Just(100), any::<u32>()], any::<u32>(), 0..4_u32);
    let kind = prop_oneof![8 => Just(STREAM), 1 => any::<u16>()];
    (cid(), cid(), port(), port(), kind, 0..9_u16, numbers).prop_map(
        |(src_cid, dst_cid, src_port, dst_port, kind, op, (buf_alloc, fwd_cnt, flags))| Header {
            src_cid,
            dst_cid,
            src_port,
            dst_port,
            kind,
            op,
            flags,
            buf_alloc,
            fwd_cnt,
            len: 0,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_a_driver_says_the_device_lives(packets in prop::collection::vec((any_header(), 0..3000_usize), 1..60)) {
        let mut guest = Guest::new();
        let listener = UnixListener::bind(guest.path("vsock_1")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut hosts = vec![guest.client_to(7), guest.client_to(7)];
        for (header, len) in packets {
            guest.send(&header, &pattern(len));
            guest.received();
            hosts.extend(listener.accept().map(|(host, _)| non_blocking(host)));
            for host in &mut hosts {
                let _ = host.write_all(b"more");
                heard(host);
            }
        }
        prop_assert!(!guest.driver.needs_reset());
        // A new client is served all the same.
        guest.received();
        let _client = guest.client_to(99);
        prop_assert!(guest.received().iter().any(|(header, _)| header.op == REQUEST && header.dst_port == 99));
    }
}
