//! What a person reads after a migration.

use std::collections::BTreeMap;

use godwit_migration::{
    error::{Class, MigrationError},
    report::{Bytes, CpuTime, Downtime, GuestSlowed, Outcome, Pages, Predicted, Report, Round, StepTaken},
};

use super::report_text::{round_line, text};

/// A migration of two rounds.
pub fn report() -> Report {
    let round = |n, dirty_pages, seconds| Round {
        n,
        dirty_pages,
        sent_pages: dirty_pages,
        bytes: dirty_pages * 4096,
        seconds,
        bandwidth: 2e9,
        owed_after: 10,
        throttle: 0.0,
        by_encoding: BTreeMap::new(),
    };
    Report {
        schema: 1,
        preset: "precopy".into(),
        lanes: 2,
        tracking: "kvm-log".into(),
        outcome: Outcome::Completed,
        error: None,
        stop_reason: None,
        setup_s: 0.012,
        total_s: 1.5,
        downtime_s: Downtime {
            total: 0.0052,
            pause: 0.001,
            harvest: 0.000_2,
            transfer: 0.003,
            handover: 0.001,
        },
        resume_s: 0.001,
        bandwidth_cap: None,
        asked: None,
        rounds: vec![round(1, 65_536, 1.2), round(2, 512, 0.004)],
        pages: Pages {
            total: 131_072,
            untouched: 65_024,
            free: 0,
            sent: 66_048,
            duplicate: 512,
            zero: 100,
            by_encoding: BTreeMap::new(),
        },
        bytes: Bytes { wire: 270_000_000, before_encoding: 270_532_608 },
        cpu_s: CpuTime { source: 0.5, target: Some(0.4) },
        predicted: Predicted { total_s: Some(1.45), downtime_s: Some(0.006) },
        guest_slowed: GuestSlowed { vcpu_s: 0.5, share: 0.25 },
        steps: vec![StepTaken { at_s: 1.0, round: 1, what: "it is slowed".into(), why: "it must".into() }],
    }
}

#[test]
fn a_completed_migration() {
    let text = text(&report());
    for expected in [
        "completed: the guest runs at the target",
        "the vCPUs lost 500.00 ms of their time, 25.0%",
        "after 1.00 s and round 1: it is slowed, because it must",
        "preset precopy, 2 lanes, kvm-log",
        "1.50 s (set-up 12.00 ms)",
        "5.20 ms (pause 1.00 ms, harvest 200 µs, transfer 3.00 ms, hand-over 1.00 ms)",
        "predicted 1.45 s after the first round",
        "predicted 6.00 ms",
        "66048 of 131072 sent (512 again, 100 of zeros), 65024 never touched",
        "source 500.00 ms, target 400.00 ms",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.contains("1.9 GiB/s")).count(), 2, "{text}");
}

#[test]
fn a_failed_migration_says_where_the_guest_is() {
    let mut report = report();
    report.outcome = Outcome::Failed;
    report.downtime_s = Downtime::default();
    let said = text(&report);
    assert!(said.contains("failed: the guest goes on at the source"), "{said}");
    assert!(said.contains("downtime   none"), "{said}");
    let reason = "the guest ended before it had moved: the guest powered off".into();
    report.error = Some(MigrationError { class: Class::Guest, phase: "rounds".into(), round: 1, reason });
    let said = text(&report);
    assert!(said.contains("failed: the guest ended") && !said.contains("goes on"), "{said}");
}

#[test]
fn of_many_rounds_the_first_and_the_last_are_listed() {
    let mut report = report();
    let one = report.rounds[0].clone();
    report.rounds = (1..=100).map(|n| Round { n, ..one.clone() }).collect();
    let text = text(&report);
    assert!(text.contains("… 88 more …"), "{text}");
    let listed = |n: u32| text.lines().any(|line| line.starts_with(&format!("           {n:>3} ")));
    assert!(listed(1) && listed(6) && !listed(7) && !listed(94) && listed(95) && listed(100), "{text}");
}

#[test]
fn a_round_in_a_pipe() {
    assert_eq!(
        round_line(&report().rounds[1]),
        "round 2: 512 pages dirty, 512 sent (2.0 MiB) in 4.00 ms, 1.9 GiB/s, 10 owed"
    );
}
