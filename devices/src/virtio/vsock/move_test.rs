//! A move ends streams on both sides, and a reset does; a pause does not.

use std::{io::Write, os::unix::net::UnixStream};

use godwit_state::Save;

use super::{EVENT, VsockState, packet::*, streams::FIRST_PORT, test_guest::*};
use crate::{
    Lifecycle,
    virtio::{
        driver_test::WRITE,
        registers::{F_EVENT_IDX, STATUS},
    },
};

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
