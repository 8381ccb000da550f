//! The card moves frames as they are, loses none that it has taken, announces itself after a move, and lets no driver
//! make it panic or spin. A socket that keeps datagrams apart stands at the other end; real taps are in `tap_test`.

use std::{
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use virtio_bindings::virtio_ring::VRING_DESC_F_INDIRECT;

use super::{Mac, Net, NetConfig, Tap, features::*};
use crate::{
    MmioDevice,
    rate_limiter::{RateLimiterConfig, TokenBucketConfig},
    virtio::{
        driver_test::{BUFFERS, Driver, SIZE, WRITE},
        registers::*,
    },
};
use godwit_state::Save;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const CONTROL: usize = 2;
pub(super) const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);
const ANSWER: u64 = BUFFERS + 0x8000;

pub(super) fn config() -> NetConfig {
    NetConfig { mac: Some(MAC), ..NetConfig::on_tap("test") }
}

/// A card and the other end of each pair's wire.
pub(crate) fn net_with_wires(config: &NetConfig) -> (Net, Vec<UnixDatagram>) {
    let wire = |_| {
        let (ours, wire) = UnixDatagram::pair().unwrap();
        for end in [&ours, &wire] {
            end.set_nonblocking(true).unwrap();
        }
        (Tap::of_file(OwnedFd::from(ours).into()), wire)
    };
    let (taps, wires) = (0..config.pairs()).map(wire).unzip();
    (Net::on(taps, config).unwrap(), wires)
}

/// A card of one pair and the other end of its wire.
fn card(config: &NetConfig) -> (Net, UnixDatagram) {
    let (net, mut wires) = net_with_wires(config);
    (net, wires.remove(0))
}

/// A card whose wire ends nowhere, that takes over any guest's.
pub(crate) fn net_on_a_socket() -> Net {
    net_with_wires(&NetConfig::on_tap("test")).0
}

fn ready(features: u64) -> (Driver<Net>, UnixDatagram) {
    let (net, wire) = card(&config());
    (Driver::ready(net, features), wire)
}

/// Address, length and flags of a descriptor.
type Described = (u64, u32, u16);

/// A frame behind an empty header.
pub(super) fn frame(len: usize, seed: u8) -> Vec<u8> {
    let body = (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed));
    [0; HEADER_BYTES].into_iter().chain(body).collect()
}

/// The frames that wait at the wire's end.
pub(super) fn heard(wire: &UnixDatagram) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; FRAME_BYTES];
    std::iter::from_fn(|| wire.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())).collect()
}

/// Whether `frame` is the reverse ARP request of `mac`.
fn announces(frame: &[u8], mac: Mac) -> bool {
    frame.len() == HEADER_BYTES + 60
        && frame[HEADER_BYTES..][..6] == [0xff; 6]
        && frame[HEADER_BYTES + 6..][..6] == mac.0
        && frame[HEADER_BYTES + 12..][..2] == [0x80, 0x35]
}

/// Bytes and frames received, and sent, as the card counts them.
pub(super) fn counted(driver: &Driver<Net>) -> [u64; 4] {
    let counters = driver.counters();
    assert_eq!(counters.len(), 4, "{counters:?}");
    ["rx_bytes", "rx_frames", "tx_bytes", "tx_frames"].map(|name| counters[name])
}

#[test]
fn its_address_link_and_mtu_are_in_the_configuration_space() {
    let (driver, _wire) = ready(0);
    assert_eq!(driver.config(0), MAC.0);
    assert_eq!(driver.config::<6>(6), [1, 0, 1, 0, 0xdc, 5], "up, one pair of queues, 1500");
    assert_eq!(driver.config::<4>(10), [0xdc, 5, 0, 0], "nothing behind it");
    for offset in [12, 0xdff, u64::MAX - CONFIG - 8] {
        assert_eq!(driver.config::<8>(offset), [0; 8]);
    }
}

#[test]
fn offloads_are_offered_as_configured() {
    let offered = |change: fn(&mut NetConfig)| {
        let mut config = config();
        change(&mut config);
        config.features() & !ALWAYS
    };
    assert_eq!(offered(|_| ()), CSUM | TSO | UFO);
    assert_eq!(offered(|config| config.offload_tso = false), CSUM | UFO);
    assert_eq!(offered(|config| config.offload_ufo = false), CSUM | TSO);
    assert_eq!(offered(|config| config.offload_csum = false), 0, "the others need it");
}

#[test]
fn frames_are_sent_as_they_are_and_their_buffers_given_back() {
    let (mut driver, wire) = ready(0);
    let frames = [frame(14, 1), frame(1514, 2), frame(64 << 10, 3)];
    for (at, bytes) in (0..).map(|n| BUFFERS + n * 0x2_0000).zip(&frames) {
        driver.put(at, bytes);
        // The header by itself, as a driver may, and the frame in two.
        let len = bytes.len() as u32;
        driver.offer(TRANSMIT, &[(at, 12, 0), (at + 12, 2, 0), (at + 14, len - 14, 0)]);
    }
    driver.clean();
    driver.notify(TRANSMIT);
    assert_eq!(heard(&wire), frames);
    assert_eq!(driver.used(TRANSMIT), [(0, 0), (3, 0), (6, 0)]);
    assert_eq!(driver.dirty(), [Driver::<Net>::used_page(TRANSMIT)], "nothing else is written");
    assert!(driver.interrupted());
}

#[test]
fn a_frame_that_the_host_does_not_take_is_lost_and_no_more() {
    let (mut driver, wire) = ready(0);
    driver.put(BUFFERS, &frame(20, 1));
    // Longer than any frame.
    driver.offer(TRANSMIT, &[(BUFFERS, 2 << 20, 0)]);
    driver.offer(TRANSMIT, &[(BUFFERS, 32, 0)]);
    driver.notify(TRANSMIT);
    assert_eq!((heard(&wire), driver.used(TRANSMIT).len()), (vec![frame(20, 1)], 2));
    drop(wire);
    driver.offer(TRANSMIT, &[(BUFFERS, 32, 0)]);
    driver.notify(TRANSMIT);
    assert_eq!((driver.used(TRANSMIT).len(), driver.needs_reset()), (1, false));
    assert_eq!(counted(&driver), [0, 0, 20, 1], "one was sent");
}

#[test]
fn a_frame_fills_a_buffer_and_says_so() {
    for features in [0, F_MRG_RXBUF] {
        let (mut driver, wire) = ready(features);
        let head = driver.offer(RECEIVE, &[(BUFFERS, 12, WRITE), (BUFFERS + 0x1000, 2000, WRITE)]);
        driver.notify(RECEIVE);
        assert!(driver.used(RECEIVE).is_empty() && !driver.interrupted());
        driver.clean();
        wire.send(&frame(100, 7)).unwrap();
        driver.turn();
        assert_eq!(driver.used(RECEIVE), [(head, 112)]);
        assert_eq!(driver.bytes(BUFFERS, 12), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], "one buffer");
        assert_eq!(driver.bytes(BUFFERS + 0x1000, 100), frame(100, 7)[12..]);
        assert_eq!(driver.dirty(), [Driver::<Net>::used_page(RECEIVE), BUFFERS >> 12, (BUFFERS >> 12) + 1]);
        assert!(driver.interrupted());
    }
}

#[test]
fn a_large_frame_is_spread_over_mergeable_buffers_that_are_seen_at_once() {
    let (mut driver, wire) = ready(F_MRG_RXBUF | F_EVENT_IDX);
    driver.interrupt_after(RECEIVE, 1);
    let bytes = frame(5000, 9);
    wire.send(&bytes).unwrap();
    driver.turn();
    let place = |n: u64| BUFFERS + 0x1000 * n;
    for n in 0..3 {
        driver.offer(RECEIVE, &[(place(n), 1500, WRITE)]);
        driver.notify(RECEIVE);
        assert!(driver.used(RECEIVE).is_empty() && !driver.interrupted(), "not a part of it");
    }
    assert_eq!(driver.avail_event(RECEIVE), 3, "asked to notify of the fourth");
    driver.offer(RECEIVE, &[(place(3), 1500, WRITE)]);
    driver.notify(RECEIVE);
    assert_eq!(driver.used(RECEIVE), [(0, 1500), (1, 1500), (2, 1500), (3, 512)]);
    assert!(driver.interrupted(), "the second was among them");
    let got: Vec<u8> = (0..4).flat_map(|n| driver.bytes(place(n), 1500)).take(bytes.len()).collect();
    assert_eq!((&got[..10], &got[10..12], &got[12..]), (&bytes[..10], &[4, 0][..], &bytes[12..]));
    assert_eq!(counted(&driver), [5000, 1, 0, 0]);
}

#[test]
fn a_frame_without_room_waits_moves_along_and_arrives_once() {
    let (mut driver, wire) = ready(F_MRG_RXBUF);
    driver.offer(RECEIVE, &[(BUFFERS, 1500, WRITE)]);
    driver.notify(RECEIVE);
    wire.send(&frame(2000, 3)).unwrap();
    driver.turn();
    assert!(heard(&wire).is_empty() && driver.used(RECEIVE).is_empty());
    let (target, _new_wire) = card(&NetConfig::on_tap("test"));
    let mut driver = driver.moved_to(target);
    assert_eq!(driver.config(0), MAC.0, "the guest's address came along");
    driver.offer(RECEIVE, &[(BUFFERS + 0x1000, 1500, WRITE)]);
    driver.notify(RECEIVE);
    assert_eq!(driver.used(RECEIVE), [(0, 1500), (1, 512)]);
    assert_eq!(driver.bytes(BUFFERS + 12, 1488), frame(2000, 3)[12..1500]);
    driver.offer(RECEIVE, &[(BUFFERS, 1500, WRITE)]);
    driver.notify(RECEIVE);
    assert!(driver.used(RECEIVE).is_empty(), "not twice");
}

#[test]
fn a_frame_that_can_never_fit_makes_way_for_the_next() {
    for features in [0, F_MRG_RXBUF] {
        let (mut driver, wire) = ready(features);
        for _ in 0..SIZE {
            driver.offer(RECEIVE, &[(BUFFERS, 200, WRITE)]);
        }
        wire.send(&frame(200 * usize::from(SIZE), 1)).unwrap();
        wire.send(&frame(20, 2)).unwrap();
        driver.turn();
        assert_eq!(driver.used(RECEIVE), [(0, 32)], "features {features:#x}");
        assert!(!driver.needs_reset());
        assert_eq!(counted(&driver), [20, 1, 0, 0], "what never came is not counted");
    }
}

#[test]
fn what_waited_at_the_tap_before_the_driver_is_not_for_it() {
    let (net, wire) = card(&config());
    let mut driver = Driver::idle(net);
    wire.send(&frame(20, 1)).unwrap();
    driver.start(0);
    driver.offer(RECEIVE, &[(BUFFERS, 2000, WRITE)]);
    driver.notify(RECEIVE);
    assert!(driver.used(RECEIVE).is_empty());
    wire.send(&frame(20, 2)).unwrap();
    driver.turn();
    assert_eq!(driver.used(RECEIVE).len(), 1);
}

#[test]
fn more_frames_than_a_ring_holds_all_arrive_in_order() {
    let (mut driver, wire) = ready(F_EVENT_IDX);
    let mut got = 0_u8;
    for turn in 0..5 {
        // Fewer than a datagram socket holds.
        for n in 0..8 {
            wire.send(&frame(30, 8 * turn + n)).unwrap();
        }
        for _ in 0..8 {
            driver.offer(RECEIVE, &[(BUFFERS, 2000, WRITE)]);
            driver.notify(RECEIVE);
            assert_eq!(driver.used(RECEIVE).len(), 1);
            assert_eq!(driver.bytes(BUFFERS + 12, 30), frame(30, got)[12..]);
            got += 1;
        }
    }
}

/// Gives the driver's command, the longer ones in two buffers, and takes the device's answer.
fn command(driver: &mut Driver<Net>, bytes: &[u8]) -> u8 {
    driver.put(BUFFERS, bytes);
    driver.put(ANSWER, &[0x77]);
    let (first, rest) = (bytes.len().min(2) as u32, bytes.len().saturating_sub(2) as u32);
    let chain = [(BUFFERS, first, 0), (BUFFERS + 2, rest, 0), (ANSWER, 1, WRITE)];
    let chain: Vec<_> = chain.into_iter().filter(|(_, len, _)| *len > 0).collect();
    driver.offer(CONTROL, &chain);
    driver.notify(CONTROL);
    driver.bytes(ANSWER, 1)[0]
}

#[test]
fn the_driver_may_change_its_address_and_a_reset_gives_it_back() {
    let (mut driver, _wire) = ready(F_CTRL_VQ | F_CTRL_MAC_ADDR);
    let (own, group) = ([2, 0, 0, 0, 0, 9], [1, 0, 0, 0, 0, 9]);
    let set = |mac: [u8; 6], rest: &[u8]| [&[1, 1][..], &mac, rest].concat();
    assert_eq!(command(&mut driver, &set(own, &[])), 0);
    assert_eq!(driver.config(0), own);
    assert_eq!(command(&mut driver, &set(group, &[])), 1, "an address of several");
    assert_eq!(command(&mut driver, &set(own, &[0])), 1, "a byte too much");
    for unknown in [&[1, 0, 1][..], &[0, 0, 1], &[3, 1], &[3], &[9, 9, 9, 9], &[3, 0]] {
        assert_eq!(command(&mut driver, unknown), 1, "{unknown:?}");
    }
    driver.write(STATUS, 0);
    assert_eq!(driver.config(0), MAC.0);
}

#[test]
fn after_a_move_it_announces_itself_and_asks_the_driver_to() {
    let (driver, old_wire) = ready(F_CTRL_VQ | F_STATUS | F_GUEST_ANNOUNCE);
    assert_eq!(driver.config::<2>(6), [1, 0]);
    let (target, wire) = card(&NetConfig::on_tap("test"));
    let mut driver = driver.moved_to(target);
    let generation = driver.read(CONFIG_GENERATION);
    driver.turn();
    assert!(announces(&heard(&wire)[0], MAC), "at once");
    assert_eq!(driver.config::<2>(6), [3, 0], "up, and the driver is to announce");
    assert_ne!(driver.read(CONFIG_GENERATION), generation);
    assert!(driver.interrupted());
    assert_eq!(driver.read(INTERRUPT_STATUS), INTERRUPT_CONFIG);
    let acknowledge = |driver: &mut Driver<Net>| {
        assert_eq!((command(driver, &[3, 0]), driver.config::<2>(6)), (0, [1, 0]));
    };
    acknowledge(&mut driver);
    for round in 2..=5 {
        let frames = driver.turn_until(|_| Some(heard(&wire)).filter(|frames| !frames.is_empty()));
        assert!(frames.iter().all(|frame| announces(frame, MAC)), "round {round}");
        assert_eq!(driver.config::<2>(6), [3, 0]);
        acknowledge(&mut driver);
    }
    assert!(heard(&old_wire).is_empty());
}

#[test]
fn one_that_has_not_moved_or_whose_driver_cannot_asks_for_nothing() {
    let (mut driver, wire) = ready(F_GUEST_ANNOUNCE);
    driver.notify(TRANSMIT);
    assert!(heard(&wire).is_empty());
    let (target, wire) = card(&NetConfig::on_tap("test"));
    let (old, _) = ready(0);
    let mut driver = old.moved_to(target);
    driver.turn();
    assert!(announces(&heard(&wire)[0], MAC), "the host's part needs no driver");
    assert_eq!((driver.config::<2>(6), driver.interrupted()), ([1, 0], false));
    assert_eq!(driver.read(INTERRUPT_STATUS), 0);
}

#[test]
fn a_guest_whose_card_differs_from_what_was_asked_for_is_refused() {
    let (driver, _wire) = ready(0);
    let saved = driver.device().save().unwrap();
    let refuse = |config: NetConfig, words: &str| {
        let (target, _wire) = card(&config);
        let driver = Driver::idle(target);
        let error = driver.device().restore(&saved).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let other = NetConfig { mac: Some(Mac([2, 0, 0, 0, 0, 8])), ..config() };
    refuse(other, "has the address 02:00:00:00:00:07, this one 02:00:00:00:00:08");
    refuse(NetConfig { mtu: Some(9000), ..config() }, "has an MTU of 1500, this one 9000");
    let mut damaged = driver.device().save().unwrap().device;
    let target = || Mutex::new(card(&NetConfig::on_tap("test")).0);
    for waiting in [1, HEADER_BYTES, FRAME_BYTES + 1] {
        damaged.waiting = vec![vec![0; waiting]];
        assert!(target().lock().unwrap().restore(&damaged).is_err(), "{waiting} bytes waiting");
    }
    damaged.waiting = vec![vec![0; FRAME_BYTES]];
    target().lock().unwrap().restore(&damaged).unwrap();
    damaged.mac = [1, 2, 3, 4, 5, 6];
    assert!(target().lock().unwrap().restore(&damaged).is_err(), "an address of several");
}

#[test]
fn a_rate_limit_holds_each_direction_back_and_loses_nothing() {
    let ops = TokenBucketConfig { size: 1, one_time_burst: None, refill_time: 20 };
    let limit = RateLimiterConfig { bandwidth: None, ops: Some(ops) };
    let (net, wire) = card(&NetConfig { rate_limiter_config: Some(limit), ..config() });
    let mut driver = Driver::ready(net, 0);
    for n in 0..3 {
        driver.put(BUFFERS + 0x1000 * n, &frame(20, n as u8));
        driver.offer(TRANSMIT, &[(BUFFERS + 0x1000 * n, 32, 0)]);
        driver.offer(RECEIVE, &[(BUFFERS + 0x8000, 2000, WRITE)]);
        wire.send(&frame(30, n as u8)).unwrap();
    }
    driver.notify(TRANSMIT);
    assert_eq!((heard(&wire), driver.used(RECEIVE).len()), (vec![frame(20, 0)], 1), "one of each");
    let mut sent = Vec::new();
    driver.turn_until(|_| {
        sent.extend(heard(&wire));
        (sent.len() == 2).then_some(())
    });
    assert_eq!(sent, [frame(20, 1), frame(20, 2)]);
    let mut received = 0;
    driver.turn_until(|driver| {
        received += driver.used(RECEIVE).len();
        (received == 2).then_some(())
    });
    assert_eq!(driver.bytes(BUFFERS + 0x800c, 30), frame(30, 2)[12..]);
}

#[test]
fn chains_that_break_the_rules_stop_it_until_a_reset() {
    let far = 1 << 30;
    let cases: [(&str, usize, &[Described]); 9] = [
        ("nothing but half a header to send", TRANSMIT, &[(BUFFERS, 11, 0)]),
        ("a buffer to write among those to send", TRANSMIT, &[(BUFFERS, 12, 0), (BUFFERS, 20, WRITE)]),
        ("a frame outside of memory", TRANSMIT, &[(BUFFERS, 12, 0), (far, 20, 0)]),
        ("lengths that overflow", TRANSMIT, &[(BUFFERS, u32::MAX, 0), (BUFFERS, u32::MAX, 0)]),
        ("a buffer to read among those to fill", RECEIVE, &[(BUFFERS, 2000, 0)]),
        ("no room for a header", RECEIVE, &[(BUFFERS, 11, WRITE)]),
        ("a buffer to fill outside of memory", RECEIVE, &[(BUFFERS, 12, WRITE), (far, 2000, WRITE)]),
        ("no room for an answer", CONTROL, &[(BUFFERS, 2, 0)]),
        ("a command behind its answer", CONTROL, &[(BUFFERS, 1, WRITE), (BUFFERS, 2, 0)]),
    ];
    for (case, queue, chain) in cases {
        let (mut driver, wire) = ready(F_CTRL_VQ);
        driver.offer(queue, chain);
        wire.send(&frame(20, 1)).unwrap();
        assert!(driver.notify(queue) < 10, "{case}");
        assert!(driver.needs_reset() && driver.interrupted(), "{case}");
        assert!(heard(&wire).is_empty() && driver.used(queue).is_empty(), "{case}");
        driver.write(STATUS, 0);
        driver.start(0);
        driver.put(BUFFERS, &frame(20, 1));
        driver.offer(TRANSMIT, &[(BUFFERS, 32, 0)]);
        driver.notify(TRANSMIT);
        assert_eq!(heard(&wire), [frame(20, 1)], "{case}: works after the reset");
    }
}

/// A descriptor of a driver that writes anything, though often something that nearly makes sense.
fn descriptor() -> impl Strategy<Value = Described> {
    let address = prop_oneof![4 => (0..16_u64).prop_map(|n| BUFFERS + 0x800 * n), 1 => any::<u64>()];
    let len = prop_oneof![4 => 0..3000_u32, 1 => any::<u32>()];
    let indirect = VRING_DESC_F_INDIRECT as u16;
    (address, len, prop::sample::select(vec![0, WRITE, WRITE, indirect]))
}

proptest! {
    #[test]
    fn no_driver_makes_it_panic_or_spin(
        chains in prop::collection::vec((0..3_usize, prop::collection::vec(descriptor(), 1..5)), 1..20),
        frames in prop::collection::vec(0..5000_usize, 0..6),
        accesses in prop::collection::vec((any::<bool>(), 0..0x200_u64, 0..9_usize, any::<u64>()), 0..20),
        heads in prop::collection::vec((0..3_usize, any::<u16>()), 0..4),
        features in prop::sample::select(vec![0, F_EVENT_IDX, F_MRG_RXBUF, F_MRG_RXBUF | F_EVENT_IDX | F_INDIRECT | F_CTRL_VQ]),
    ) {
        let (mut driver, wire) = ready(features);
        for len in frames {
            wire.send(&frame(len, 1)).unwrap();
        }
        for (queue, chain) in chains {
            driver.offer(queue, &chain);
            prop_assert!(driver.notify(queue) < 100);
        }
        for (queue, head) in heads {
            driver.publish(queue, head);
            prop_assert!(driver.notify(queue) < 100);
        }
        for (is_write, offset, width, value) in accesses {
            let mut bytes = value.to_le_bytes();
            let bytes = &mut bytes[..width];
            let mut device = driver.device();
            if is_write { device.write(offset, bytes) } else { device.read(offset, bytes) }
            drop(device);
            prop_assert!(driver.turn() < 100);
        }
        let saved = driver.device().save().unwrap();
        let (target, _wire) = card(&NetConfig::on_tap("test"));
        let target = Arc::new(Driver::idle(target));
        target.device().restore(&saved).unwrap();
        prop_assert_eq!(target.device().save().unwrap(), saved);
    }
}
