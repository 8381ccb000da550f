//! iperf3 from outside to the guest and back, each across a move: its one connection lasts, and bytes go on to arrive.

use std::{
    thread,
    time::{Duration, Instant},
};

use godwit_tests::debian::{Debian, GUEST, PATIENCE};
use serde_json::Value;

/// At full speed the host's one CPU would do nothing else.
const RATE: &str = "2M";
/// Seconds after a move that are judged, at least.
const LEFT: usize = 5;
/// How long it runs beside the time that a move is expected to take.
const SECONDS: f64 = 12.0;
/// A move takes at most so many times as long as the last one did.
const SLACK: f64 = 3.0;
/// Attempts at having a move end well before iperf3 does, each twice as long.
const ATTEMPTS: u32 = 3;

pub(crate) fn journey(debian: &mut Debian) {
    debian.run("iperf3 -s -D -I /run/iperf3.pid");
    for (direction, flag) in [("to the guest", ""), ("from the guest", "-R")] {
        let mut seconds = debian.moves.last().map_or(30.0, |last| SLACK * last.total_s) + SECONDS;
        let across = (0..ATTEMPTS).any(|_| {
            let across = one(debian, direction, flag, seconds.ceil() as u32);
            seconds *= 2.0;
            across
        });
        assert!(across, "no move ended while iperf3 ran {direction}");
    }
    debian.run("kill $(tr -d '\\0' </run/iperf3.pid)");
}

/// One run of iperf3 with a move in it; whether enough of the run was left afterwards to judge by.
fn one(debian: &mut Debian, direction: &str, flag: &str, seconds: u32) -> bool {
    let command = format!("exec iperf3 -c {GUEST} {flag} -b {RATE} -t {seconds} -i 1 -J");
    let begun = Instant::now();
    let mut iperf = debian.clients().start("iperf3", &command);
    thread::sleep(Duration::from_secs(3));
    debian.hop();
    let moved = begun.elapsed().as_secs_f64();
    let ended = iperf.end(PATIENCE);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    let said: Value = serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}", ended.out));
    let intervals = said["intervals"].as_array().cloned().unwrap_or_default();
    let sums = intervals.iter().map(|interval| &interval["sum"]);
    let after = sums.filter(|sum| sum["start"].as_f64().is_some_and(|start| start > moved));
    let bytes: Vec<u64> = after.filter_map(|sum| sum["bytes"].as_u64()).collect();
    if bytes.len() < LEFT {
        return false;
    }
    assert!(bytes.iter().sum::<u64>() > 0, "nothing went {direction} after the move: {}", ended.out);
    let all = said["end"]["sum_received"]["bytes"].as_u64().unwrap_or_default();
    println!(
        "  {} KiB {direction} in {seconds} s, {} KiB of them after the move",
        all >> 10,
        bytes.iter().sum::<u64>() >> 10
    );
    true
}
