//! A card of several pairs of queues: the driver says how many it uses, each has its own way to the host, and all of them move.

use std::os::unix::net::UnixDatagram;

use godwit_state::Save;

use super::{
    Net, NetConfig, NetState,
    features::*,
    net_test::{config, counted, frame, heard, net_with_wires},
};
use crate::{
    rate_limiter::{RateLimiterConfig, TokenBucketConfig},
    virtio::{
        VirtioState,
        driver_test::{BUFFERS, Driver, WRITE},
        registers::STATUS,
    },
};

const PAIRS: usize = 3;
/// The control queue of a driver that knows all pairs, and of one that knows the first only.
const CONTROL: usize = 2 * PAIRS;
const CONTROL_OF_ONE: usize = 2;
const ANSWER: u64 = BUFFERS + 0x8000;
const DONE: u8 = 0;
const REFUSED: u8 = 1;

fn receive(pair: usize) -> usize {
    2 * pair
}

fn transmit(pair: usize) -> usize {
    2 * pair + 1
}

fn config_of(pairs: usize) -> NetConfig {
    NetConfig { num_queues: 2 * pairs as u16, ..config() }
}

fn ready(features: u64) -> (Driver<Net>, Vec<UnixDatagram>) {
    let (net, wires) = net_with_wires(&config_of(PAIRS));
    (Driver::ready(net, features), wires)
}

/// Says in queue `control` that `pairs` pairs are used; gives the answer.
fn use_pairs(driver: &mut Driver<Net>, control: usize, pairs: u16) -> u8 {
    let command = [&[4, 0][..], &pairs.to_le_bytes()].concat();
    driver.put(ANSWER, &command);
    driver.put(ANSWER + 0x100, &[0x55]);
    driver.offer(control, &[(ANSWER, 4, 0), (ANSWER + 0x100, 1, WRITE)]);
    driver.notify(control);
    assert_eq!(driver.used(control).len(), 1);
    driver.bytes(ANSWER + 0x100, 1)[0]
}

/// Whether a frame goes out by `pair`, and comes in by it, where there is room.
fn works(driver: &mut Driver<Net>, wires: &[UnixDatagram], pair: usize) -> (bool, bool) {
    let bytes = frame(40, 0x20 + pair as u8);
    driver.put(BUFFERS, &bytes);
    driver.offer(transmit(pair), &[(BUFFERS, bytes.len() as u32, 0)]);
    driver.notify(transmit(pair));
    let goes = heard(&wires[pair]) == std::slice::from_ref(&bytes);
    assert_eq!(goes, driver.used(transmit(pair)).len() == 1);
    driver.offer(receive(pair), &[(BUFFERS + 0x1000, 2000, WRITE)]);
    driver.notify(receive(pair));
    wires[pair].send(&bytes).unwrap();
    driver.turn();
    let comes = driver.used(receive(pair)).len() == 1;
    assert!(!comes || driver.bytes(BUFFERS + 0x100c, 40) == bytes[12..]);
    (goes, comes)
}

#[test]
fn several_pairs_are_offered_where_there_are_several() {
    let pairs = |pairs| {
        let driver = Driver::idle(net_with_wires(&config_of(pairs)).0);
        (config_of(pairs).features() & F_MQ != 0, driver.config::<2>(8)[0])
    };
    assert_eq!([1, 2, 8].map(pairs), [(false, 1), (true, 2), (true, 8)]);
}

#[test]
fn one_pair_is_used_until_the_driver_says_otherwise() {
    let (mut driver, wires) = ready(F_MQ | F_CTRL_VQ);
    let all = |driver: &mut Driver<Net>| [0, 1, 2].map(|pair| works(driver, &wires, pair));
    let (yes, no) = ((true, true), (false, false));
    assert_eq!(all(&mut driver), [yes, no, no]);
    driver.write(STATUS, 0);
    driver.start(F_MQ | F_CTRL_VQ);
    assert_eq!(use_pairs(&mut driver, CONTROL, 2), DONE);
    assert_eq!(all(&mut driver), [yes, yes, no]);
    for wrong in [0, PAIRS as u16 + 1, u16::MAX] {
        assert_eq!(use_pairs(&mut driver, CONTROL, wrong), REFUSED, "{wrong} pairs");
    }
    assert_eq!(works(&mut driver, &wires, 1), yes, "a refusal changes nothing");
    driver.write(STATUS, 0);
    driver.start(F_MQ | F_CTRL_VQ);
    assert_eq!(all(&mut driver), [yes, no, no], "a reset forgets it");
    assert_eq!(counted(&driver), [5 * 40, 5, 5 * 40, 5], "of all pairs together");
}

#[test]
fn a_driver_that_knows_one_pair_finds_its_control_queue_behind_that() {
    let (mut driver, wires) = ready(F_CTRL_VQ | F_CTRL_MAC_ADDR);
    assert_eq!(works(&mut driver, &wires, 0), (true, true));
    assert_eq!(use_pairs(&mut driver, CONTROL_OF_ONE, 2), REFUSED);
    driver.put(ANSWER, &[1, 1, 2, 0, 0, 0, 0, 9]);
    driver.offer(CONTROL_OF_ONE, &[(ANSWER, 8, 0), (ANSWER + 0x100, 1, WRITE)]);
    driver.notify(CONTROL_OF_ONE);
    assert_eq!(driver.config(0), [2, 0, 0, 0, 0, 9]);
}

#[test]
fn what_waits_for_a_pair_that_is_given_up_is_lost_and_no_more() {
    let (mut driver, wires) = ready(F_MQ | F_CTRL_VQ);
    use_pairs(&mut driver, CONTROL, 2);
    wires[1].send(&frame(30, 1)).unwrap();
    driver.turn();
    assert_eq!(use_pairs(&mut driver, CONTROL, 1), DONE);
    assert_eq!(use_pairs(&mut driver, CONTROL, 2), DONE);
    driver.offer(receive(1), &[(BUFFERS, 2000, WRITE)]);
    driver.notify(receive(1));
    assert!(driver.used(receive(1)).is_empty());
    wires[1].send(&frame(30, 2)).unwrap();
    driver.turn();
    assert_eq!(
        (driver.used(receive(1)).len(), driver.bytes(BUFFERS + 12, 30)),
        (1, frame(30, 2)[12..].to_vec())
    );
}

#[test]
fn what_came_by_any_pair_before_the_driver_is_not_for_it() {
    let (net, wires) = net_with_wires(&config_of(PAIRS));
    let mut driver = Driver::idle(net);
    wires.iter().for_each(|wire| assert!(wire.send(&frame(30, 1)).is_ok()));
    driver.start(F_MQ | F_CTRL_VQ);
    assert_eq!(use_pairs(&mut driver, CONTROL, PAIRS as u16), DONE);
    for pair in 0..PAIRS {
        driver.offer(receive(pair), &[(BUFFERS, 2000, WRITE)]);
        driver.notify(receive(pair));
        assert!(driver.used(receive(pair)).is_empty(), "pair {pair}");
    }
}

#[test]
fn what_waited_for_a_driver_is_not_the_next_ones() {
    let (mut driver, wires) = ready(F_MQ | F_CTRL_VQ);
    use_pairs(&mut driver, CONTROL, 2);
    wires[..2].iter().for_each(|wire| assert!(wire.send(&frame(30, 1)).is_ok()));
    // The card takes them, and finds no room.
    driver.turn();
    driver.write(STATUS, 0);
    driver.start(F_MQ | F_CTRL_VQ);
    use_pairs(&mut driver, CONTROL, 2);
    for pair in [0, 1] {
        driver.offer(receive(pair), &[(BUFFERS, 2000, WRITE)]);
        driver.notify(receive(pair));
        assert!(driver.used(receive(pair)).is_empty(), "pair {pair}");
    }
}

#[test]
fn all_pairs_move_with_what_waits_for_each() {
    let (mut driver, wires) = ready(F_MQ | F_CTRL_VQ);
    use_pairs(&mut driver, CONTROL, 2);
    for pair in [0, 1] {
        wires[pair].send(&frame(30, pair as u8)).unwrap();
    }
    driver.turn();
    let (target, wires) = net_with_wires(&NetConfig { mac: None, ..config_of(PAIRS) });
    let mut driver = driver.moved_to(target);
    for pair in [0, 1] {
        driver.offer(receive(pair), &[(BUFFERS, 2000, WRITE)]);
        driver.notify(receive(pair));
        assert_eq!(driver.used(receive(pair)).len(), 1, "of pair {pair}");
        assert_eq!(driver.bytes(BUFFERS + 12, 30), frame(30, pair as u8)[12..]);
    }
    wires.iter().for_each(|wire| drop(heard(wire)));
    assert_eq!([1, 2].map(|pair| works(&mut driver, &wires, pair)), [(true, true), (false, false)]);
}

#[test]
fn a_target_with_another_number_of_pairs_refuses_in_words() {
    let (mut driver, _wires) = ready(F_MQ | F_CTRL_VQ);
    use_pairs(&mut driver, CONTROL, 2);
    let mut saved = driver.device().save().unwrap();
    let refuse = |saved: &VirtioState<NetState>, pairs, features, words: &str| {
        let driver = Driver::ready(net_with_wires(&config_of(pairs)).0, features);
        let error = driver.device().restore(saved).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let offered = "the driver uses features";
    refuse(&saved, 1, 0, offered);
    refuse(&saved, 2, F_MQ, "it has 7 queues where it comes from and 5 here; give it as many ('num_queues'");
    saved.device.used_pairs = 4;
    refuse(&saved, PAIRS, F_MQ, "its driver uses 4 pairs of queues");
    saved.device.used_pairs = 0;
    refuse(&saved, PAIRS, F_MQ, "its driver uses 0 pairs of queues");
    (saved.device.used_pairs, saved.device.waiting) = (1, vec![]);
    refuse(&saved, PAIRS, F_MQ, "0 frames that may wait for 3 pairs");
    let (driver, _wires) = ready(0);
    let mut of_one = driver.device().save().unwrap();
    of_one.device.used_pairs = 2;
    refuse(&of_one, PAIRS, 0, "its driver uses 2 pairs of queues, which it does not have");
}

#[test]
fn a_rate_limit_is_one_for_all_pairs_and_lets_each_go_on() {
    let ops = TokenBucketConfig { size: 1, one_time_burst: None, refill_time: 20 };
    let limit = RateLimiterConfig { bandwidth: None, ops: Some(ops) };
    let (net, wires) = net_with_wires(&NetConfig { rate_limiter_config: Some(limit), ..config_of(PAIRS) });
    let mut driver = Driver::ready(net, F_MQ | F_CTRL_VQ);
    use_pairs(&mut driver, CONTROL, PAIRS as u16);
    for (pair, wire) in wires.iter().enumerate() {
        driver.offer(receive(pair), &[(BUFFERS + 0x1000 * pair as u64, 2000, WRITE)]);
        driver.notify(receive(pair));
        driver.put(ANSWER, &frame(20, 9));
        driver.offer(transmit(pair), &[(ANSWER, 32, 0)]);
        wire.send(&frame(30, pair as u8)).unwrap();
    }
    for pair in 0..PAIRS {
        driver.notify(transmit(pair));
    }
    let (mut sent, mut received) = (0, 0);
    driver.turn_until(|driver| {
        sent += wires.iter().map(|wire| heard(wire).len()).sum::<usize>();
        received += (0..PAIRS).map(|pair| driver.used(receive(pair)).len()).sum::<usize>();
        ((sent, received) == (PAIRS, PAIRS)).then_some(())
    });
}
