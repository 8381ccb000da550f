//! A guest under test: a driver of the device with buffers, what it was sent, and clients of the host.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
};

use vmm_sys_util::tempdir::TempDir;

use super::{RECEIVE, TRANSMIT, Vsock, VsockConfig, packet::*};
use crate::virtio::driver_test::{BUFFERS, Driver, SIZE, WRITE};

pub const CID: u32 = 3;
/// Where a packet of the driver stands, and where buffers for packets to it; by the head of their chain.
pub const SENT: u64 = 0x20_0000;
pub const SENT_BYTES: u64 = 0x2_0000;
pub const ROOM: u64 = BUFFERS;
pub const ROOM_BYTES: u32 = 0x2000;
pub const EVENTS_AT: u64 = BUFFERS + 0x8_0000;
/// What the guest keeps for a stream, where a test does not say otherwise.
const GUEST_BUFFER: u32 = 1 << 20;

/// A device at a path of this folder.
pub fn device_at(path: &Path) -> Vsock {
    Vsock::new(&VsockConfig { cid: CID, socket: path.into() }).unwrap()
}

/// A device of its own, whose socket nobody finds.
pub(crate) fn vsock_alone() -> Vsock {
    let folder = TempDir::new().unwrap();
    device_at(&folder.as_path().join("vsock"))
}

/// A guest: a driver with buffers, and what it was sent.
pub struct Guest {
    pub driver: Driver<Vsock>,
    /// Buffers and packets that were offered.
    pub buffers: u16,
    pub packets: u16,
    pub folder: TempDir,
}

impl Guest {
    pub fn new() -> Self {
        Self::of(0)
    }

    pub fn of(features: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let driver = Driver::ready(device_at(&folder.as_path().join("vsock")), features);
        let mut guest = Self { driver, buffers: 0, packets: 0, folder };
        (0..SIZE).for_each(|_| guest.give_room());
        guest.driver.notify(RECEIVE);
        guest
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_path().join(name)
    }

    /// A client of the host at the device's socket.
    pub fn client(&self) -> UnixStream {
        non_blocking(UnixStream::connect(self.path("vsock")).unwrap())
    }

    /// A client that has said where it wants to go.
    pub fn client_to(&self, port: u32) -> UnixStream {
        let mut client = self.client();
        writeln!(client, "CONNECT {port}").unwrap();
        client
    }

    pub fn give_room(&mut self) {
        let head = u64::from(self.buffers % SIZE);
        self.buffers = self.buffers.wrapping_add(1);
        self.driver.offer(RECEIVE, &[(ROOM + head * u64::from(ROOM_BYTES), ROOM_BYTES, WRITE)]);
    }

    /// What has come since the last call; the buffers are given back.
    pub fn received(&mut self) -> Vec<(Header, Vec<u8>)> {
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
    pub fn one(&mut self) -> (Header, Vec<u8>) {
        let all = self.received();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    /// Operations that have come.
    pub fn ops(&mut self) -> Vec<u16> {
        self.received().iter().map(|(header, _)| header.op).collect()
    }

    /// Makes a packet available, without notifying.
    pub fn put(&mut self, header: &Header, data: &[u8]) {
        let header = Header { len: data.len() as u32, ..*header };
        let at = SENT + u64::from(self.packets % SIZE) * SENT_BYTES;
        self.packets = self.packets.wrapping_add(1);
        let bytes = [&header.bytes(), data].concat();
        self.driver.put(at, &bytes);
        self.driver.offer(TRANSMIT, &[(at, bytes.len() as u32, 0)]);
    }

    pub fn send(&mut self, header: &Header, data: &[u8]) {
        self.put(header, data);
        self.driver.notify(TRANSMIT);
    }
}

/// A packet of the guest from its port to one of the host's.
pub fn from(guest_port: u32, host_port: u32, op: u16) -> Header {
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

pub fn non_blocking(stream: UnixStream) -> UnixStream {
    stream.set_nonblocking(true).unwrap();
    stream
}

/// What is there to read now, and whether that is the end.
pub fn heard(stream: &mut UnixStream) -> (Vec<u8>, bool) {
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

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// A stream that a client of the host has asked for; its port of the host.
pub fn opened(guest: &mut Guest, port: u32) -> (UnixStream, u32) {
    let mut client = guest.client_to(port);
    let (request, _) = guest.one();
    assert_eq!((request.op, request.kind, request.src_cid), (REQUEST, STREAM, HOST_CID));
    assert_eq!((request.dst_port, request.fwd_cnt), (port, 0));
    assert_eq!(heard(&mut client), (vec![], false));
    guest.send(&from(port, request.src_port, RESPONSE), &[]);
    assert_eq!(heard(&mut client), (format!("OK {}\n", request.src_port).into_bytes(), false));
    (client, request.src_port)
}
/// A stream that the guest has asked for, to `port` of the host.
pub fn asked(guest: &mut Guest, listener: &UnixListener, header: &Header) -> UnixStream {
    guest.send(header, &[]);
    let (response, _) = guest.one();
    assert_eq!(
        (response.op, response.src_port, response.dst_port),
        (RESPONSE, header.dst_port, header.src_port)
    );
    non_blocking(listener.accept().unwrap().0)
}
