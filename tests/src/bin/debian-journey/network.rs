//! One TCP connection, over which 200 MB come into the guest while it moves there and back, with the right sum; and pings
//! across two more moves, of a guest that has little else to do: its network is gone for no longer than the migration says.

use std::{
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
/// Pauses after each 64 KiB while the guest moves, and while it shall have little to do: at full speed the one CPU of the
/// guest's host would do nothing else.
const PAUSES: [Duration; 2] = [Duration::from_millis(60), Duration::from_millis(1000)];
/// Between two pings.
const INTERVAL: Duration = Duration::from_millis(10);
/// Pings that are answered before a move begins, and after it.
const ANSWERS: usize = 100;
/// How far the longest time without an answer may be from the downtime that was told, beside what the emulator adds to any:
/// as much as to the second longest, in which the guest did not stand still.
const APART: Duration = Duration::from_millis(50);
/// Gaps that are told of.
const TOLD: usize = 5;

pub(crate) fn journey(debian: &mut Debian) {
    let upload = begin(debian);
    for _ in 0..2 {
        debian.hop();
        await_sent(&upload, upload.sent() + BYTES_AFTER);
    }
    let (sent, begun) = (upload.sent(), Instant::now());
    upload.set_pause(Duration::ZERO);
    await_sent(&upload, BYTES.max(sent + BYTES_AFTER));
    let rate = (upload.sent() - sent) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "  {} MB came into the guest across two moves, the rest of them at {:.1} MB/s",
        upload.sent() / 1_000_000,
        rate / 1e6
    );
    upload.set_pause(PAUSES[1]);
    let pings = Pings::by_icmp(GUEST, INTERVAL);
    for _ in 0..2 {
        quiet_move(debian, &pings);
    }
    println!("  {:?}", pings.end());
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
    Upload::start(SocketAddr::from((GUEST, PORT)), PAUSES[0])
}

fn await_sent(upload: &Upload, bytes: u64) {
    super::wait(&format!("{bytes} bytes sent"), || upload.sent() >= bytes);
}

/// Moves the guest, whose network is gone only while it stands still.
fn quiet_move(debian: &mut Debian, pings: &Pings) {
    await_answers(pings);
    let begun = Instant::now();
    let told = Duration::from_secs_f64(debian.hop().downtime_s.total);
    await_answers(pings);
    let mut gaps = pings.gaps(begun..Instant::now());
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.length));
    let all: Vec<_> = gaps.iter().take(TOLD).map(|gap| gap.length).collect();
    println!("  pings without an answer for {all:?} at the longest; down for {told:?}");
    let (longest, noise) = (all[0], all[1]);
    assert!(longest + APART >= told, "it stood still for {told:?}, and answered all the while: {all:?}");
    assert!(longest <= told + APART + noise, "down for {told:?}, and without an answer for {all:?}");
}

fn await_answers(pings: &Pings) {
    let goal = pings.answered() + ANSWERS;
    super::wait("answers to pings", || pings.answered() >= goal);
}
