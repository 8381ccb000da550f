//! One guest on a long way, with detours: moves that are cancelled at any moment.
//!
//! A process ends when its guest has moved away, so a way of many moves leads through as many processes. What must not
//! grow is watched in two ways: from each process on the way to the next, and in one pair of processes between which
//! migrations are begun and cancelled again and again.

use std::{
    thread,
    time::{Duration, Instant},
};

use godwit_migration::{
    preset::PRESETS,
    report::{Outcome, Report},
};

use super::{case::mix, cipher, footprint::Footprint};
use crate::{
    journey::Journey,
    program::PROMPT,
    site::{Listen, Site},
    vmm::{Migration, Vmm},
};

/// The guest: 32 MiB, of which it writes some without end.
const MACHINE: [&str; 4] = ["--memory", "32M", "--cpus", "1"];
const PARAMETERS: &str =
    "memory=12M content=text working_set=2M rate=1000 heartbeat=20 sweep=20 pattern=hotcold";
/// Bytes of it.
const GUEST_BYTES: u64 = 32 << 20;
/// Most cancelled attempts before a move.
const MOST_DETOURS: u64 = 3;
/// Until a migration is cancelled, at most.
const MOST_PATIENCE_US: u64 = 90_000;
/// So no migration is done before it is cancelled.
const SLOWLY: [&str; 2] = ["--bandwidth", "1MB/s"];
/// Attempts after which a process has made all the buffers that it keeps.
const WARM_ATTEMPTS: usize = 8;
/// What memory may grow by beside the guest: an allocator's slack, and far less than one attempt's buffers each time.
const SLACK_BYTES: u64 = 6 << 20;
/// How long descriptors of what has just ended may take to be closed.
const CLOSING: Duration = Duration::from_secs(5);

/// What a soak came to.
#[derive(Clone, Debug, Default)]
pub struct Soaked {
    /// Moves that completed.
    pub moves: usize,
    /// Migrations that were cancelled.
    pub cancelled: usize,
    /// What each process held when its guest had arrived.
    pub arrived: Vec<Footprint>,
    /// The longest that the guest stood still.
    pub longest_gap: Duration,
}

/// Numbers that look like chance, one after the other.
struct Chance(u64);

impl Chance {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % below
    }

    /// Flags of a migration: a preset, a number of lanes, and those of `tls`.
    fn flags(&mut self, tls: &[&str]) -> Vec<String> {
        let preset = PRESETS[self.below(PRESETS.len() as u64) as usize].name;
        let own =
            ["--preset".to_owned(), preset.to_owned(), "--lanes".to_owned(), (1 + self.below(4)).to_string()];
        own.into_iter().chain(tls.iter().map(|&flag| flag.to_owned())).collect()
    }
}

/// Moves a guest `moves` times by random presets and lanes, with cancelled attempts in between; by TLS or in clear.
///
/// # Panics
/// Where a move fails, the guest comes to harm, or a process holds more than those before it.
#[must_use]
pub fn soak(moves: usize, seed: u64, tls: bool) -> Soaked {
    let site = Site::open();
    let tls = if tls { cipher::flags(&site) } else { Vec::new() };
    let tls: Vec<_> = tls.iter().map(String::as_str).collect();
    let mut chance = Chance(seed);
    let mut journey = Journey::begin(site.boot(PARAMETERS, &MACHINE));
    let mut soaked = Soaked::default();
    while soaked.moves < moves {
        let target = site.receive(Listen::Tcp, &tls);
        let mut moved = None;
        for _ in 0..chance.below(2) * (1 + chance.below(MOST_DETOURS)) {
            moved = attempt(&journey.now, &target, &mut chance, &tls);
            if moved.is_some() {
                break;
            }
            soaked.cancelled += 1;
        }
        let report = moved.unwrap_or_else(|| {
            let flags = chance.flags(&tls);
            let flags: Vec<_> = flags.iter().map(String::as_str).collect();
            moves_soon(&journey.now, &target, &flags)
        });
        journey.follow(target, report);
        soaked.moves += 1;
        soaked.arrived.push(at_rest(&journey.now, &soaked.arrived));
    }
    soaked.longest_gap = journey.verdict().longest_gap();
    grows_not(&soaked.arrived);
    soaked
}

/// Begins `attempts` migrations between one pair of processes and cancels each; what both hold must not grow.
///
/// # Panics
/// Where it does, or the guest comes to harm.
#[must_use]
pub fn cancel_again_and_again(attempts: usize, seed: u64, tls: bool) -> [Vec<Footprint>; 2] {
    let site = Site::open();
    let tls = if tls { cipher::flags(&site) } else { Vec::new() };
    let tls: Vec<_> = tls.iter().map(String::as_str).collect();
    let mut chance = Chance(seed);
    let (source, target) = (site.boot(PARAMETERS, &MACHINE), site.receive(Listen::Tcp, &tls));
    let mut journey = Journey::begin(source);
    let mut held = [Vec::new(), Vec::new()];
    while held[0].len() < attempts {
        let moved = attempt(&journey.now, &target, &mut chance, &[&tls[..], &SLOWLY].concat());
        assert!(
            moved.is_none(),
            "a migration that takes seconds was done before it was cancelled: {moved:#?}"
        );
        for (held, vmm) in held.iter_mut().zip([&journey.now, &target]) {
            held.push(at_rest(vmm, held));
        }
    }
    let warm = WARM_ATTEMPTS.min(attempts / 2);
    held.iter().for_each(|held| grows_not(&held[warm..]));
    let report = moves_soon(&journey.now, &target, &tls);
    journey.follow(target, report);
    journey.verdict();
    held
}

/// Begins a migration and cancels it at some moment; its report where it was quicker.
fn attempt(source: &Vmm, target: &Vmm, chance: &mut Chance, tls: &[&str]) -> Option<Report> {
    let flags = chance.flags(tls);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let mut migration = source.begin_migration(&target.address(), &flags);
    thread::sleep(Duration::from_micros(chance.below(MOST_PATIENCE_US)));
    // It may not have begun yet, or be over.
    while source.ask(&["cancel"]).status != 0 && !migration.is_over() {}
    let migration = Migration::end(&mut migration);
    let report = migration.report.as_ref().unwrap_or_else(|| panic!("no report: {:?}", migration.ended));
    match report.outcome {
        Outcome::Completed => migration.report,
        Outcome::Cancelled => None,
        Outcome::Failed if is_unready(report) => None,
        other => panic!("a cancelled migration ended as {other:?}: {}", migration.ended.err),
    }
}

/// Moves the guest to a target that may still be busy with clearing up after the attempt before.
///
/// # Panics
/// Where a migration fails otherwise, or the target stays busy.
#[must_use]
pub fn moves_soon(source: &Vmm, target: &Vmm, flags: &[&str]) -> Report {
    let deadline = Instant::now() + PROMPT;
    loop {
        let migration = source.migrate(&target.address(), flags);
        let unready = migration.report.as_ref().is_some_and(is_unready) && Instant::now() < deadline;
        if !unready {
            return migration.completed();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a migration failed before it began, for the target did not take one.
fn is_unready(report: &Report) -> bool {
    report.outcome == Outcome::Failed && report.error.as_ref().is_some_and(|error| error.phase == "hello")
}

/// What a process holds when it has closed what it will: no more descriptors than the least `before`, or what is left
/// in the end.
fn at_rest(vmm: &Vmm, before: &[Footprint]) -> Footprint {
    let least = before.iter().map(|held| held.descriptors).min().unwrap_or(usize::MAX);
    let step = Duration::from_millis(20);
    let mut left = CLOSING;
    loop {
        let held = Footprint::of(vmm.program.id(), GUEST_BYTES);
        if held.descriptors <= least || left.is_zero() {
            return held;
        }
        thread::sleep(step);
        left = left.saturating_sub(step);
    }
}

/// Asserts that the last quarter holds no more than the first.
fn grows_not(held: &[Footprint]) {
    let quarter = held.len().div_ceil(4);
    let (first, last) = (&held[..quarter], &held[held.len() - quarter..]);
    let descriptors = |held: &[Footprint]| held.iter().map(|held| held.descriptors).max();
    let resident = |held: &[Footprint]| held.iter().map(|held| held.resident_bytes).max().unwrap_or(0);
    assert!(descriptors(last) <= descriptors(first), "file descriptors grow: {held:?}");
    assert!(resident(last) <= resident(first) + SLACK_BYTES, "memory grows: {held:?}");
}
