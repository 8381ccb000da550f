//! A cap on the bandwidth of whole migrations over real sockets, and what else is between a lane and its socket.

use std::time::{Duration, Instant};

use godwit_migration::report::{Outcome, Progress, Report};
use godwit_transport::{
    handle::Handle,
    outgoing::{self, Options},
};

use crate::{
    common::{Guest, Place},
    options, runtime, target,
};

/// Slow enough for every cap here.
const PACE: Duration = Duration::from_millis(5);

/// A guest with `pages` pages that have something in them, which it goes on writing to.
fn guest(pages: u32) -> Guest {
    let mut guest = Guest::new(pages, PACE);
    (0..pages).for_each(|page| guest.memory.write(page, 1));
    guest.start();
    guest
}

/// Moves `guest` under the handle's cap, and sees that it arrives whole.
fn moves(guest: &mut Guest, handle: &Handle, change: impl FnOnce(&mut Options)) -> Report {
    let (to, thread) = target(Place::default(), Handle::default());
    let mut options = options(&to, "precopy", 2);
    change(&mut options);
    let report = runtime().block_on(outgoing::migrate(&options, guest, handle));
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.error);
    let arrived = thread.join().unwrap().1.memory.unwrap();
    assert!(arrived.content() == guest.memory.content());
    report
}

/// Waits until `there` is true of the progress.
fn until(handle: &Handle, there: impl Fn(&Progress) -> bool) -> Progress {
    loop {
        match handle.progress() {
            Some(progress) if there(&progress) => return progress,
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

#[test]
fn all_lanes_together_keep_to_the_cap_in_every_round() {
    for (cap, pages, lanes) in [(4_000_000, 512, 1), (50_000_000, 4096, 1), (50_000_000, 4096, 3)] {
        let handle = Handle::default();
        handle.set_bandwidth(Some(cap));
        let report = moves(&mut guest(pages), &handle, |options| options.lanes = lanes);
        assert_eq!(report.bandwidth_cap, Some(cap));
        let (mut bytes, mut seconds) = (0, 0.0);
        for round in &report.rounds {
            assert!(round.bandwidth <= cap as f64 * 1.03, "{lanes} lanes: {round:?}");
            (bytes, seconds) = (bytes + round.bytes, seconds + round.seconds);
        }
        assert_eq!(bytes, report.bytes.wire);
        let rate = bytes as f64 / seconds;
        assert!(rate <= cap as f64 * 1.03 && rate >= cap as f64 * 0.3, "{lanes} lanes: {rate:.0} of {cap}");
    }
}

#[test]
fn the_cap_changes_on_the_way_and_the_machine_knows() {
    let handle = Handle::default();
    handle.set_bandwidth(Some(1_000_000));
    let watch = handle.clone();
    let changing = std::thread::spawn(move || {
        let slow = until(&watch, |p| p.round == 1 && p.round_wire_bytes > 0);
        watch.set_bandwidth(Some(200_000_000));
        until(&watch, |p| p.bandwidth_cap == Some(200_000_000));
        slow
    });
    let report = moves(&mut guest(4096), &handle, |_| ());
    assert_eq!(changing.join().unwrap().bandwidth_cap, Some(1_000_000));
    assert_eq!(report.bandwidth_cap, Some(200_000_000));
    assert!(report.total_s < 16.0, "16 MiB at 1 MB/s take 17 s: {}", report.total_s);
}

#[test]
fn a_migration_that_waits_for_the_cap_is_cancelled_at_once() {
    let (to, thread) = target(Place::default(), Handle::default());
    let handle = Handle::default();
    handle.set_bandwidth(Some(100_000));
    let watch = handle.clone();
    let canceller = std::thread::spawn(move || {
        until(&watch, |p| p.round == 1);
        std::thread::sleep(Duration::from_millis(50));
        watch.cancel(godwit_migration::cancellation::Cancellation::Request);
        Instant::now()
    });
    let mut guest = guest(4096);
    let report = runtime().block_on(outgoing::migrate(&options(&to, "precopy", 2), &mut guest, &handle));
    let took = canceller.join().unwrap().elapsed();
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert!(took < Duration::from_secs(20), "the round would have taken minutes, the end took {took:?}");
    thread.join().unwrap().0.unwrap_err();
}

#[test]
fn through_a_send_buffer_everything_arrives_and_the_cap_holds() {
    let handle = Handle::default();
    handle.set_bandwidth(Some(50_000_000));
    let buffered = |options: &mut Options| options.send_buffer = Some("1M,low=5,high=70".parse().unwrap());
    let report = moves(&mut guest(4096), &handle, buffered);
    for round in &report.rounds {
        assert!(round.bandwidth <= 50_000_000.0 * 1.03, "{round:?}");
    }
    moves(&mut guest(4096), &Handle::default(), buffered);
}

#[test]
fn the_pages_of_a_round_are_told_by_encoding() {
    let mut guest = guest(640);
    guest.memory.write(77, 0);
    let report = moves(&mut guest, &Handle::default(), |_| ());
    for round in &report.rounds {
        assert_eq!(round.by_encoding.values().sum::<u64>(), round.sent_pages, "{round:?}");
    }
    assert!(report.rounds[0].by_encoding["raw"] > 0);
}
