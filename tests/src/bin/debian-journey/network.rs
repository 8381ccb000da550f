//! Pings across moves of a guest that has little else to do: its network is gone for as long as the migration says. And one TCP
//! connection all the time, over which 200 MB come into the guest while it moves there and back, with the right sum. For a host
//! whose clocks count instructions: times are then those of a CPU of 500 million a second, and nobody else's.

use std::{
    cmp::Reverse,
    net::SocketAddr,
    time::{Duration, Instant},
};

use godwit_tests::{
    debian::{Debian, GUEST},
    network::{Pings, Upload},
};

/// What goes over the connection, at least.
const BYTES: u64 = 200_000_000;
/// Of these, after each move.
const BYTES_AFTER: u64 = 4 << 20;
const PORT: u16 = 5001;
/// Where the guest has the sum of what came.
const SUM: &str = "/run/upload.sum";
/// Pauses after each 64 KiB while the guest shall have little to do, and while it moves: at full speed the one CPU of the guest's
/// host would do nothing else.
const QUIET: Duration = Duration::from_millis(1000);
const BUSY: Duration = Duration::from_millis(60);
/// Between two pings.
const INTERVAL: Duration = Duration::from_millis(10);
/// Pings that are answered before a move begins, and after it.
const ANSWERS: usize = 30;
/// How far the longest time without an answer may be from the downtime that was told.
const APART: Duration = Duration::from_millis(50);
/// Moves of a guest with little to do.
const QUIET_MOVES: usize = 4;
/// Gaps that are told of.
const TOLD: usize = 5;

pub(crate) fn journey(debian: &mut Debian) {
    let upload = begin(debian);
    let pings = Pings::by_icmp(GUEST, INTERVAL);
    (0..QUIET_MOVES).for_each(|_| quiet_move(debian, &pings));
    println!("  {:?}", pings.end());
    upload.set_pause(BUSY);
    for _ in 0..2 {
        debian.hop();
        await_sent(&upload, upload.sent() + BYTES_AFTER);
    }
    let (sent, begun) = (upload.sent(), Instant::now());
    upload.set_pause(Duration::ZERO);
    while upload.sent() < BYTES {
        await_sent(&upload, upload.sent() + BYTES_AFTER);
    }
    let rate = (upload.sent() - sent) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "  {} MB came into the guest, the last of them at {:.1} MB/s",
        upload.sent() / 1_000_000,
        rate / 1e6
    );
    let sum = upload.end();
    super::wait("sum of what came", || debian.run(&format!("cat {SUM}")).ends_with('\n'));
    assert_eq!(debian.run(&format!("cat {SUM}")), sum, "the sum of what came is not that of what was sent");
    println!("  the sum is right");
}

/// The guest listens, and the stream begins.
fn begin(debian: &mut Debian) -> Upload {
    debian.run(&format!("(socat -u TCP-LISTEN:{PORT} - | md5sum >{SUM}) </dev/null >/dev/null 2>&1 &"));
    let listens = || debian.run("ss -ltn").contains(&format!(":{PORT} "));
    super::wait("program that listens", listens);
    Upload::start(SocketAddr::from((GUEST, PORT)), QUIET)
}

fn await_sent(upload: &Upload, bytes: u64) {
    super::wait(&format!("{bytes} bytes sent"), || upload.sent() >= bytes);
}

/// Moves the guest, whose network is gone for as long as it stands still.
fn quiet_move(debian: &mut Debian, pings: &Pings) {
    await_answers(pings);
    let begun = Instant::now();
    let told = Duration::from_secs_f64(debian.hop().downtime_s.total);
    await_answers(pings);
    let mut gaps: Vec<_> = pings.gaps(begun..Instant::now()).iter().map(|gap| gap.length).collect();
    gaps.sort_by_key(|gap| Reverse(*gap));
    gaps.truncate(TOLD);
    println!("  down for {told:?}; longest without an answer {gaps:?}");
    assert!(gaps[0].abs_diff(told) <= APART, "its network was gone for another time than was told");
}

fn await_answers(pings: &Pings) {
    let goal = pings.answered() + ANSWERS;
    super::wait("answers to pings", || pings.answered() >= goal);
}
