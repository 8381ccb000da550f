//! Pings across moves of a guest that has little else to do: its network is gone for no longer than the migration says. And one TCP
//! connection all the time, over which 200 MB come into the guest while it moves there and back, with the right sum.

use std::{
    cmp::Reverse,
    net::SocketAddr,
    time::{Duration, Instant},
};

use godwit_tests::{
    debian::{Debian, GUEST, PATIENCE},
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
/// Between two pings, at least; and so many times what a ping takes by itself. On a host of one emulated CPU that is the CPU's
/// time, most of which is to be left for what moves the guest.
const INTERVAL: Duration = Duration::from_millis(10);
const LEFT: u32 = 5;
/// Pings that are answered before a move begins, and after it.
const ANSWERS: usize = 30;
/// How far the longest time without an answer may be from the downtime that was told, beside the time between two pings. On
/// hardware a few milliseconds; here the guest shares its CPU with both sides' processes before it stops and after it runs.
const APART: Duration = Duration::from_millis(250);
/// Moves of which one must be as short as was told. What an emulator and a machine with other things to do add comes and goes; what
/// a move adds, it adds to each.
const QUIET_MOVES: usize = 8;
/// Gaps that are told of.
const TOLD: usize = 5;

pub(crate) fn journey(debian: &mut Debian) {
    let upload = begin(debian);
    let interval = INTERVAL.max(LEFT * round_trip(debian));
    println!("  pings every {interval:?}");
    let pings = Pings::by_icmp(GUEST, interval);
    let is_short = (0..QUIET_MOVES).any(|_| quiet_move(debian, &pings, APART + interval));
    assert!(
        is_short,
        "in none of {QUIET_MOVES} moves was the network gone for as long as was told, and no longer"
    );
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

/// How long a ping takes that has everything for itself.
fn round_trip(debian: &Debian) -> Duration {
    let command = format!("exec ping -q -c 20 -i 0.2 -W 60 {GUEST}");
    let ended = debian.clients().start("ping", &command).end(PATIENCE);
    // "rtt min/avg/max/mdev = 3.045/4.177/6.951/1.020 ms"
    let times =
        ended.out.rsplit_once("= ").map(|(_, times)| times.split('/')).and_then(|mut times| times.nth(1));
    let ms: f64 = times.and_then(|ms| ms.parse().ok()).unwrap_or_else(|| panic!("no times: {ended:?}"));
    Duration::from_secs_f64(ms / 1e3)
}

/// Moves the guest; whether its network was gone only while it stood still.
fn quiet_move(debian: &mut Debian, pings: &Pings, apart: Duration) -> bool {
    await_answers(pings);
    let begun = Instant::now();
    let told = Duration::from_secs_f64(debian.hop().downtime_s.total);
    await_answers(pings);
    let mut gaps: Vec<_> = pings.gaps(begun..Instant::now()).iter().map(|gap| gap.length).collect();
    gaps.sort_by_key(|gap| Reverse(*gap));
    gaps.truncate(TOLD);
    println!("  down for {told:?}; longest without an answer {gaps:?}");
    assert!(gaps[0] + apart >= told, "it stood still, and answered all the while");
    gaps[0] <= told + apart
}

fn await_answers(pings: &Pings) {
    let goal = pings.answered() + ANSWERS;
    super::wait("answers to pings", || pings.answered() >= goal);
}
