//! Streams in both directions carry what they are given, begin and end as either side says, and no other way.

use std::{io::Write, net::Shutdown, os::unix::net::UnixListener};

use super::{packet::*, streams::FIRST_PORT, test_guest::*};
use crate::virtio::registers::F_EVENT_IDX;

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
