//! The guest is slowed as far as it takes, told so, and let go whatever the end is; the user's ladder is climbed.

use std::time::Duration;

use godwit_lab::{
    Lab, Run,
    fault::{Fault, Side, When},
    guest::GuestSpec,
    workload::Uniform,
};
use godwit_migration::{
    convergence::ladder::Escalation,
    error::Class,
    preset::{Overrides, Scheme},
    slow::SLOWS,
};

use crate::common::{GIGABIT, moved, ms, stayed};

/// 32 MiB, all of it with content, over which the guest writes three times as fast as the link carries.
const PAGES: u32 = 8192;
const RATE: f64 = 100_000.0;

fn lab(stop: &str, slow: &str) -> Lab {
    let mut lab = Lab::new(GuestSpec::new(PAGES, PAGES, Box::new(Uniform::new(0..PAGES, RATE, 9))), GIGABIT);
    let overrides = Overrides { stop: Some(stop.into()), slow: Some(slow.into()), ..Overrides::default() };
    lab.scheme = Scheme::parse("precopy", &overrides).unwrap();
    lab.downtime = ms(30);
    lab.timeout = Some(Duration::from_secs(60));
    lab
}

/// What was taken from the guest is what the report says.
#[track_caller]
fn agrees(run: &Run, what: &str) {
    let slowed = run.report.guest_slowed;
    let taken = run.guest_slowed.as_secs_f64();
    assert!((slowed.vcpu_s - taken).abs() < 1e-6, "{what}: {taken} s were taken, the report says {slowed:?}");
    if run.report.error.is_some() {
        return; // The round that was under way has not been told.
    }
    let rounds: f64 = run.report.rounds.iter().map(|round| round.throttle * round.seconds).sum();
    assert!((rounds - taken).abs() <= 0.05 * taken + 2e-3, "{what}: {taken} s, by rounds {rounds} s");
}

#[test]
fn whoever_slows_the_guest_gets_it_there_within_the_budget() {
    for row in SLOWS.iter().filter(|row| row.name != "none") {
        let run = lab("downtime-budget", row.name).run();
        moved(&run, row.name);
        agrees(&run, row.name);
        let report = &run.report;
        assert!(report.downtime_s.total <= 0.030, "{}: {:?}", row.name, report.downtime_s);
        assert!(report.guest_slowed.share > 0.2, "{}: {:?}", row.name, report.guest_slowed);
        assert!(report.rounds[0].throttle < 1e-9 && report.rounds.last().unwrap().throttle < 1e-9);
        println!("{}: {:.1} s, {:?}", row.name, report.total_s, report.guest_slowed);
    }
}

#[test]
fn a_guest_that_fits_is_left_alone() {
    for row in SLOWS {
        let mut lab = lab("downtime-budget", row.name);
        lab.downtime = ms(300);
        let run = lab.run();
        moved(&run, row.name);
        assert!(run.guest_slowed.is_zero() && run.report.guest_slowed.vcpu_s == 0.0, "{}", row.name);
    }
}

#[test]
fn a_slowed_guest_is_let_go_when_the_migration_is_cancelled() {
    for row in SLOWS.iter().filter(|row| row.name != "none") {
        let mut lab = lab("deadline,after=50s", row.name);
        // One is there soon after it began to slow the guest; the others need their time.
        let at = if row.name == "last-resort" { 700 } else { 1500 };
        lab.faults = vec![Fault::Cancel { when: When::Time(ms(at)), side: Side::Source }];
        let run = lab.run();
        assert_eq!(stayed(&run, row.name), Class::Cancelled);
        agrees(&run, row.name);
        assert!(run.report.guest_slowed.vcpu_s > 0.02, "{}: {:?}", row.name, run.report.guest_slowed);
    }
}

#[test]
fn a_deadline_ends_pre_copy() {
    let run = lab("downtime-budget,deadline,after=2s", "none").run();
    moved(&run, "deadline");
    assert!(run.report.stop_reason.as_ref().unwrap().contains("of the 2.0 s it was given"));
    assert!((2.0..3.0).contains(&run.report.total_s), "{} s", run.report.total_s);
}

#[test]
fn a_stall_ends_pre_copy_long_before_the_time_is_up() {
    let run = lab("downtime-budget,stall,rounds=3,time=500ms", "none").run();
    moved(&run, "stall");
    assert!(run.report.stop_reason.as_ref().unwrap().starts_with("what is owed has been no lower than"));
    assert!(run.report.total_s < 3.0, "{} s", run.report.total_s);
}

fn what(run: &Run) -> Vec<&str> {
    run.report.steps.iter().map(|step| step.what.as_str()).collect()
}

#[test]
fn a_ladder_raises_the_budget_then_slows_and_then_gives_up() {
    let escalate = |rungs: &str| {
        let mut lab = lab("downtime-budget", "none");
        lab.downtime = ms(5);
        lab.escalate = Escalation::parse(&format!("stall,rounds=2,time=0s,{rungs}")).unwrap();
        lab.run()
    };
    // All of its memory is dirty after each round: 270 ms of the link.
    let run = escalate("budget,factor=4,ceiling=400ms,cancel");
    moved(&run, "raised");
    assert_eq!(
        what(&run),
        [
            "the downtime budget is raised to 20.0 ms",
            "the downtime budget is raised to 80.0 ms",
            "the downtime budget is raised to 320.0 ms"
        ]
    );
    assert!(run.report.stop_reason.as_ref().unwrap().contains("which is enough"));

    let run = escalate("budget,ceiling=20ms,throttle,by=halving,cancel");
    moved(&run, "slowed");
    agrees(&run, "slowed");
    assert_eq!(what(&run).last(), Some(&"the guest is slowed by halving"));
    assert!(run.report.downtime_s.total <= 0.021, "{:?}", run.report.downtime_s);

    let run = escalate("budget,ceiling=10ms,cancel");
    assert_eq!(stayed(&run, "given up"), Class::Timeout);
    assert_eq!(what(&run), ["the downtime budget is raised to 10.0 ms", "the migration is given up"]);
    let times: Vec<_> = run.report.steps.iter().map(|step| step.at_s).collect();
    assert!(times.is_sorted() && times[1] <= run.report.total_s);
}
