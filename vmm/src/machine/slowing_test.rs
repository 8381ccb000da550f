//! A guest that is slowed does less work and a guest that is let go does as much as before; a dirty limit is for those
//! alone who dirty.
//!
//! These need /dev/kvm. Work is compared with work of the same guest in the same run, by the guest's own clock.

use std::time::{Duration, Instant};

use godwit_migration::slow::Throttle;

use super::{
    Machine, MachineError,
    bench::{Bench, boot_with},
};
use crate::config::DirtyKind;

/// Beats that are counted before and after.
const BEATS: usize = 8;
/// Writes as fast as it can.
const BUSY: &str = "memory=8M rate=100000000 pattern=sequential sweep=0";

fn running(kind: DirtyKind, cmdline: &str, cpus: u8) -> Bench {
    let (mut bench, token) = boot_with(cmdline, cpus, kind);
    bench.resume(token);
    bench.await_beats(2);
    bench
}

/// Pages that the guest writes in a second from here on, by its own clock, and for how long it was watched.
fn watched(bench: &Bench) -> (f64, f64) {
    let seen = bench.beats().len();
    bench.await_beats(seen + BEATS);
    let number = |line: &str, name: &str| -> Option<f64> {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        value.trim_end_matches('s').parse().ok()
    };
    let output = bench.output();
    let beats: Vec<_> = output.lines().filter_map(|l| Some((number(l, "t")?, number(l, "pages")?))).collect();
    let (first, last) = (beats[seen], beats[seen + BEATS - 1]);
    ((last.1 - first.1) / (last.0 - first.0), last.0 - first.0)
}

fn pages_per_s(bench: &Bench) -> f64 {
    watched(bench).0
}

#[test]
fn a_share_is_taken_and_given_back() {
    let mut bench = running(DirtyKind::Log, BUSY, 1);
    let before = pages_per_s(&bench);
    assert_eq!(bench.machine.slowed(), Duration::ZERO, "what is off costs nothing");
    bench.machine.throttle(Throttle::Share(0.8)).unwrap();
    let (slowed, seconds) = watched(&bench);
    let slept = bench.machine.slowed().as_secs_f64();
    // What it does in the time left to it depends on who else wants the host's CPUs.
    assert!(slept > 0.4 * seconds, "slept {slept} s of {seconds} s");
    assert!(slowed < before, "{before} pages/s, with a fifth of the time {slowed}");
    bench.machine.throttle(Throttle::None).unwrap();
    let taken = bench.machine.slowed();
    let after = pages_per_s(&bench);
    assert!(after > slowed, "{before} pages/s, then {slowed}, then {after}");
    assert_eq!(bench.machine.slowed(), taken);
    let _token = bench.machine.pause().unwrap();
}

/// At 99%, a vCPU is asleep nearly always: whoever asks something of it is answered all the same.
#[test]
fn a_sleeping_vcpu_answers() {
    let mut bench = running(DirtyKind::Log, BUSY, 2);
    bench.machine.throttle(Throttle::Share(0.99)).unwrap();
    for _ in 0..50 {
        let token = bench.machine.pause().unwrap();
        bench.machine.save().unwrap();
        bench.machine.throttle(Throttle::Share(0.98)).unwrap();
        bench.resume(token);
    }
    let token = bench.machine.pause().unwrap();
    bench.machine.throttle(Throttle::None).unwrap();
    bench.resume(token);
    let beats = bench.beats().len();
    assert!(bench.await_beats(beats + 3).iter().all(|beat| beat.1 == 0));
}

/// Pages/s, far below what a vCPU dirties even on a busy host.
const LIMIT: f64 = 500.0;

#[test]
fn a_dirty_limit_leaves_alone_whoever_dirties_little() {
    let mut bench =
        running(DirtyKind::Ring, "memory=32M rate=100000000 pattern=sequential sweep=0 hot_cpus=1", 2);
    bench.machine.dirty().begin().unwrap();
    bench.machine.throttle(Throttle::DirtyLimit(LIMIT)).unwrap();
    // How soon the hot one is over its limit depends on who else wants the host's CPUs.
    let deadline = Instant::now() + Duration::from_secs(60);
    let lost = |bench: &Bench| [0, 1].map(|id: usize| bench.machine.vcpus[id].slept());
    while lost(&bench)[1] < Duration::from_millis(200) && Instant::now() < deadline {
        // What a harvest found counts anew. The cold vCPU has a handful of pages of its own.
        assert!(harvest(&bench.machine) > 0);
        bench.await_beats(bench.beats().len() + 2);
    }
    let [cold, hot] = lost(&bench);
    assert!(hot >= Duration::from_millis(200), "the hot vCPU lost {hot:?}, the cold one {cold:?}");
    assert!(cold < hot / 5, "the hot vCPU lost {hot:?}, the cold one {cold:?}");
    bench.machine.throttle(Throttle::None).unwrap();
    bench.machine.dirty().end().unwrap();
    let after = pages_per_s(&bench);
    assert!(after > 4.0 * LIMIT, "{after} pages/s without a limit");
    let _token = bench.machine.pause().unwrap();
}

fn harvest(machine: &Machine) -> u32 {
    let mut dirty = super::bench::touched(machine);
    dirty.clear();
    machine.dirty().harvest(&mut dirty).unwrap();
    dirty.count()
}

#[test]
fn a_dirty_limit_without_rings_is_refused_in_words() {
    let (bench, _token) = boot_with("memory=1M", 1, DirtyKind::Log);
    let error = bench.machine.throttle(Throttle::DirtyLimit(100.0)).unwrap_err();
    assert!(matches!(error, MachineError::NoDirtyLimit) && error.to_string().contains("--dirty ring"));
}
