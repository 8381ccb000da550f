//! The device goes with its socket, tells what it has written, and no driver makes it panic, spin or stop for good.

use std::{
    io::Write,
    os::unix::net::{UnixListener, UnixStream},
};

use proptest::prelude::*;
use vmm_sys_util::tempdir::TempDir;

use super::{RECEIVE, TRANSMIT, Vsock, VsockConfig, packet::*, streams::FIRST_PORT, test_guest::*};
use crate::virtio::driver_test::{Driver, WRITE};

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
