//! Nobody is sent more than there is room for, nothing is lost for want of it, and nothing grows without an end.

use std::{io::Write, os::unix::net::UnixListener};

use vmm_sys_util::tempdir::TempDir;

use super::{RECEIVE, TRANSMIT, packet::*, streams::MOST_STREAMS, test_guest::*};
use crate::virtio::driver_test::{Driver, SIZE};

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
