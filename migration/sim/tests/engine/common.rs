//! The guests and links that the suites share.

use std::time::Duration;

use godwit_lab::{
    Lab, Run,
    costs::Costs,
    guest::GuestSpec,
    link::Link,
    workload::{HotCold, Idle, Phases, Sequential, Uniform, Workload},
};
use godwit_migration::{
    error::Class,
    preset::{self, Scheme},
    report::Outcome,
};

/// Pages of the guests here: two blocks and a half, so that some lanes have no block at all.
pub const PAGES: u32 = 1280;
/// Pages of them with content from the start.
pub const RESIDENT: u32 = 900;
/// A gigabit link in one rack.
pub const GIGABIT: Link = Link { bytes_per_s: 125e6, latency: Duration::from_micros(50) };

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Every kind of workload, by name. All of them converge on [`GIGABIT`].
pub fn workloads() -> Vec<(&'static str, Box<dyn Workload>)> {
    vec![
        ("idle", Box::new(Idle)),
        ("sequential", Box::new(Sequential::new(0..PAGES, 3000.0))),
        ("uniform", Box::new(Uniform::new(0..PAGES, 3000.0, 1))),
        ("hot-cold", Box::new(HotCold::new(500..540, 0..PAGES, 0.9, 10_000.0, 2))),
        (
            "phases",
            Box::new(Phases::new(vec![
                (ms(7), Box::new(Uniform::new(0..600, 20_000.0, 3))),
                (ms(11), Box::new(Sequential::new(600..PAGES, 2000.0))),
            ])),
        ),
    ]
}

/// Presets that take different ways through the engine, each with the rounds that it takes on [`tiny`] at the least:
/// for suites that try every step of a migration.
pub const KINDS: &[(&str, usize)] = &[
    ("precopy", 3),
    // The lanes leave pages out.
    ("clark2005", 3),
    // Watched before the first round; pages are held.
    ("zaw2012", 3),
    // Watched between rounds.
    ("agrawal2013", 2),
    // Rounds in an order of their own, and cut.
    ("microwiper2010", 3),
    // No round but the last.
    ("non-live", 1),
];

/// A preset, by its name.
pub fn scheme(preset: &str) -> Scheme {
    Scheme::of(preset::by_name(preset).unwrap())
}

/// A small guest that writes all over, for suites that run thousands of migrations: three rounds or so.
pub fn tiny(preset: &str, lanes: u8) -> Lab {
    let guest = GuestSpec::new(128, 60, Box::new(Uniform::new(0..128, 20_000.0, 5)));
    let mut lab = Lab::new(guest, GIGABIT);
    lab.scheme = scheme(preset);
    lab.lanes = lanes;
    lab.downtime = ms(2);
    lab.costs = Costs { start_tracking: Duration::from_micros(200), ..Costs::default() };
    lab
}

/// The guest moved: it runs at the target, whole, and nowhere else.
#[track_caller]
pub fn moved(run: &Run, what: &str) {
    kept(run, what);
    assert_eq!(run.report.outcome, Outcome::Completed, "{what}: {:?}", run.report.error);
    assert!(run.target_runs && !run.source_runs && !run.source_has_right, "{what}");
    assert_eq!(run.differing, [] as [u32; 0], "{what}: pages that differ");
    assert_eq!(run.target.as_ref().unwrap().as_ref().unwrap().pages, run.report.pages.sent, "{what}");
}

/// The migration failed and the guest runs at the source as before.
#[track_caller]
pub fn stayed(run: &Run, what: &str) -> Class {
    kept(run, what);
    assert!(run.source_runs && run.source_has_right && !run.source_tracks, "{what}: {:#?}", run.timeline);
    assert!(!run.source_slowed, "{what}: the guest is left slow");
    assert!(!run.target_runs && !matches!(run.target, Some(Ok(_))), "{what}");
    let error = run.report.error.as_ref().expect("a reason");
    let cancelled = error.class == Class::Cancelled;
    assert_eq!(run.report.outcome, if cancelled { Outcome::Cancelled } else { Outcome::Failed }, "{what}");
    error.class
}

/// The source gave the guest up and does not know what became of it.
#[track_caller]
pub fn unknown(run: &Run, what: &str) {
    kept(run, what);
    assert_eq!(run.report.outcome, Outcome::Unknown, "{what}");
    assert_eq!(run.report.error.as_ref().unwrap().class, Class::Unknown, "{what}");
    assert!(!run.source_runs && !run.source_has_right, "{what}: {:#?}", run.timeline);
    assert!(!run.source_slowed, "{what}: the guest is left slow");
}

/// Whatever happened: no promise was broken.
#[track_caller]
pub fn kept(run: &Run, what: &str) {
    assert_eq!(run.violations, [] as [&str; 0], "{what}: {:#?}", run.timeline);
}
