//! All goes well: each action, what the report makes of it, and words that overtake one another.

use super::*;
use crate::{
    cancellation::Cancellation,
    preset::{Observe, Overrides, Scheme},
    report::{Downtime, Pages},
};

#[test]
fn who_observes_has_all_pages_armed_at_once() {
    let auto = Scheme::default();
    let observing =
        Scheme { observe: Observe { harvests: 2, every: Duration::from_millis(5) }, ..auto.clone() };
    let at_once = Scheme::parse("auto,arming=at-once", &Overrides::default()).unwrap();
    for (scheme, tracks) in [(auto, "track what is sent"), (observing, "track"), (at_once, "track")] {
        let mut script = Script::new(SourceConfig { scheme, ..config() });
        script.at(1, hello());
        script.at(5, said(TargetMessage::Prepared));
        script.at(6, Event::LanesOpen);
        assert_eq!(script.at(7, said(TargetMessage::LanesOpen)), [tracks]);
    }
}

#[test]
fn a_migration_action_by_action() {
    let mut script = Script::new(config());
    assert_eq!(script.at(1, hello()), ["say Prepare"]);
    assert_eq!(script.at(5, said(TargetMessage::Prepared)), ["open 2 lanes"]);
    assert_eq!(script.at(6, Event::LanesOpen), [] as [&str; 0]);
    assert_eq!(script.at(7, said(TargetMessage::LanesOpen)), ["track"]);
    assert_eq!(script.at(12, Event::Tracking(set(&[0, 1, 2]))), ["round 1: [0..3]"]);
    assert_eq!(script.at(20, sent(3)), [] as [&str; 0]);
    assert_eq!(script.at(22, round_done(1, 3)), ["harvest"]);
    assert_eq!(script.at(23, Event::Harvested(set(&[0, 9]))), ["pause"]);
    assert_eq!(script.at(25, Event::Paused), ["harvest"]);
    let last = script.at(26, Event::Harvested(set(&[9, 50])));
    assert_eq!(last, ["last round 2: [0..1, 9..10, 50..51]", "save"], "what was owed and what is dirty");
    assert_eq!(script.at(27, Event::Saved(Sections::default())), ["say State"]);
    assert_eq!(script.at(28, sent(3)), [] as [&str; 0]);
    assert_eq!(script.at(30, said(TargetMessage::Ready)), ["give up"]);
    assert_eq!(script.at(30, Event::GivenUp), ["say Go"], "only when it is on record");
    let finish = script.at(33, said(TargetMessage::Running { cpu_us: 4000 }));
    assert_eq!(finish, ["finish: Completed"]);
    assert_eq!(script.at(34, Event::LinkLost("closed".into())), [] as [&str; 0], "nothing after the end");
}

#[test]
fn the_report_of_it() {
    let mut script = Script::new(config()).set_up().paused().last_round().handed_over();
    script.at(33, said(TargetMessage::Running { cpu_us: 4000 }));
    let report = script.report.unwrap();
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(near(report.setup_s, 0.012) && near(report.total_s, 0.033) && near(report.resume_s, 0.003));
    let Downtime { total, pause, harvest, transfer, handover } = report.downtime_s;
    assert!(near(pause, 0.002) && near(harvest, 0.001) && near(transfer, 0.004) && near(handover, 0.003));
    assert!(near(total, pause + harvest + transfer + handover));
    assert_eq!(
        report.pages,
        Pages {
            total: 128,
            untouched: 125,
            sent: 6,
            duplicate: 1, // page 0; pages 9 and 50 were first written while the migration ran
            ..Pages::default()
        }
    );
    let rounds: Vec<_> = report.rounds.iter().map(|r| (r.n, r.dirty_pages, r.sent_pages)).collect();
    assert_eq!(rounds, [(1, 0, 3), (2, 4, 3)], "two harvests, of two pages each");
    assert_eq!(report.rounds.last().unwrap().owed_after, 0);
    // At 23 ms two pages were owed: 7 ms for them, and a stop-and-copy of about 4 ms.
    assert!(report.predicted.total_s.is_some_and(|s| (0.032..0.045).contains(&s)), "{:?}", report.predicted);
    assert_eq!(report.cpu_s.target, Some(0.004));
    assert_eq!((report.error, report.bytes.before_encoding), (None, 6 * 4096));
}

#[test]
fn rounds_go_on_while_the_budget_is_too_small() {
    // Three pages took 10 ms, so two of them would take 6.67 ms, and 0.7 ms what is written in the 1.15 ms until the guest
    // stands still. All else is 0.95 ms, 0.35 ms beside the pages, a harvest of 1 ms and two round trips of 1 ms.
    let mut script =
        Script::new(SourceConfig { downtime: Duration::from_micros(11_300), ..config() }).set_up();
    script.at(20, sent(3));
    script.at(22, round_done(1, 3));
    assert_eq!(script.at(23, Event::Harvested(set(&[0, 9]))), ["round 2: [0..1, 9..10]"]);
    script.at(24, sent(2));
    script.at(29, round_done(2, 2));
    assert_eq!(script.at(30, Event::Harvested(set(&[3]))), ["pause"]);
    let predicted = script.source.progress(Duration::from_millis(31), 0).predicted_downtime_s.unwrap();
    let page = 0.010 / 3.0;
    let meanwhile = page * 1.15 / 7.0;
    assert!(
        (predicted - page - meanwhile - 0.00395).abs() < 1e-9,
        "a round of two pages tells nothing: {predicted} s"
    );
}

#[test]
fn a_lower_cap_counts_before_a_round_has_felt_it() {
    // The round went at 3 pages in 10 ms; at a third of that, two pages take 20 ms.
    let cap = 3 * 4096 * 100 / 3;
    let mut script = Script::new(config()).set_up();
    script.at(20, sent(3));
    script.at(22, round_done(1, 3));
    assert_eq!(script.at(22, Event::BandwidthCap(Some(cap))), [] as [&str; 0]);
    assert_eq!(script.at(23, Event::Harvested(set(&[0, 9]))), ["round 2: [0..1, 9..10]"], "no pause");
    let progress = script.source.progress(Duration::from_millis(24), 0);
    let predicted = progress.predicted_downtime_s.unwrap();
    // And what two pages in 11 ms come to until the guest stands.
    let meanwhile = 0.010 * 2.0 * 1.15 / 11.0;
    let owed = predicted - meanwhile;
    assert!((owed - 0.02395).abs() < 1e-9, "of what was owed when the round began: {predicted} s");
    assert_eq!(progress.bandwidth_cap, Some(cap));
    script.at(24, Event::Cancel(Cancellation::Request));
    assert_eq!(script.undone(25).bandwidth_cap, Some(cap));
}

#[test]
fn what_nobody_touched_is_not_sent_until_somebody_does() {
    let mut script = Script::new(config());
    script.at(1, hello());
    script.at(5, said(TargetMessage::Prepared));
    script.at(6, Event::LanesOpen);
    script.at(7, said(TargetMessage::LanesOpen));
    assert_eq!(script.at(12, Event::Tracking(set(&[]))), ["pause"], "nothing to send beforehand");
    script.at(13, Event::Paused);
    assert_eq!(script.at(14, Event::Harvested(set(&[77]))), ["last round 1: [77..78]", "save"]);
}

#[test]
fn the_targets_answer_may_overtake_the_lanes() {
    let mut script = Script::new(config()).set_up();
    assert_eq!(script.at(20, round_done(1, 3)), [] as [&str; 0]);
    assert_eq!(script.at(21, sent(3)), ["harvest"]);

    let mut script = Script::new(config()).set_up().paused().last_round();
    assert_eq!(script.at(29, said(TargetMessage::Ready)), [] as [&str; 0], "not before the lanes are done");
    assert_eq!(script.at(30, sent(3)), ["give up"]);
    assert_eq!(script.at(30, Event::GivenUp), ["say Go"]);
    assert_eq!(script.at(33, said(TargetMessage::Running { cpu_us: 0 })), ["finish: Completed"]);
    let down = script.report.unwrap().downtime_s;
    assert!((down.transfer - 0.003).abs() < 1e-12, "the target was ready at 29 ms: {down:?}");
}

#[test]
fn progress_counts_what_is_under_way() {
    let script = Script::new(config()).set_up();
    let progress = script.source.progress(Duration::from_millis(14), 2);
    assert_eq!((progress.phase.as_str(), progress.round), ("rounds", 1));
    assert_eq!(
        (progress.round_bytes, progress.round_sent_bytes, progress.owed_bytes),
        (3 * 4096, 2 * 4096, 3 * 4096)
    );
    assert!((progress.elapsed_s - 0.014).abs() < 1e-12 && (progress.budget_s - 0.015).abs() < 1e-12);
}

/// A policy sends what `select` says, and the rules never fire.
fn holding_config(select: &str) -> SourceConfig {
    let overrides = Overrides {
        select: Some(select.into()),
        stop: Some("rounds,most=100".into()),
        ..Overrides::default()
    };
    SourceConfig { scheme: Scheme::parse("precopy", &overrides).unwrap(), ..config() }
}

fn holding(select: &str) -> Script {
    Script::new(holding_config(select)).set_up()
}

fn harvested_after_round_1(script: &mut Script, dirty: &[u32]) -> Vec<String> {
    script.at(20, sent(3));
    assert_eq!(script.at(22, round_done(1, 3)), ["harvest"]);
    script.at(23, Event::Harvested(set(dirty)))
}

fn stop_reason(mut script: Script) -> String {
    script.at(900, Event::Cancel(Cancellation::Request));
    script.undone(901).stop_reason.unwrap()
}

#[test]
fn a_policy_that_holds_back_all_ends_pre_copy_instead_of_spinning() {
    let mut script = holding("time-series,m=1");
    assert_eq!(harvested_after_round_1(&mut script, &[0, 9]), ["pause"]);
    assert_eq!(stop_reason(script), "the policy holds back all that is owed: 2 pages");
    let mut script = holding("all");
    assert_eq!(harvested_after_round_1(&mut script, &[]), ["pause"]);
    assert_eq!(stop_reason(script), "nothing is owed");
}

#[test]
fn pages_that_are_held_are_given_time_to_come_clean() {
    let mut script = holding("second-chance,few=0");
    assert_eq!(harvested_after_round_1(&mut script, &[0, 9]), [] as [&str; 0]);
    assert_eq!(script.deadline(), Some(Duration::from_millis(123)));
    assert_eq!(script.at(123, Event::Tick), ["harvest"]);
    assert_eq!(script.at(124, Event::Harvested(set(&[9]))), [] as [&str; 0]);
    assert_eq!(script.at(224, Event::Tick), ["harvest"]);
    assert_eq!(script.at(225, Event::Harvested(set(&[]))), ["round 2: [0..1]"], "clean for two harvests");
}

#[test]
fn but_not_for_ever() {
    let mut script = holding("second-chance,few=0,clean=2");
    assert_eq!(harvested_after_round_1(&mut script, &[0, 9]), [] as [&str; 0]);
    script.at(123, Event::Tick);
    assert_eq!(script.at(124, Event::Harvested(set(&[0, 9]))), [] as [&str; 0]);
    script.at(224, Event::Tick);
    assert_eq!(
        script.at(225, Event::Harvested(set(&[0, 9]))),
        ["pause"],
        "two looks can free a page, and did not"
    );
    assert_eq!(stop_reason(script), "the policy holds back all that is owed: 2 pages");
}

#[test]
fn a_time_that_is_over_ends_the_looking_too() {
    let config = SourceConfig {
        timeout: Some(Duration::from_millis(100)),
        on_timeout: OnTimeout::Force,
        ..holding_config("second-chance,few=0")
    };
    let mut script = Script::new(config).set_up();
    assert_eq!(harvested_after_round_1(&mut script, &[0, 9]), [] as [&str; 0]);
    assert_eq!(script.at(123, Event::Tick), ["harvest"]);
    assert_eq!(script.at(124, Event::Harvested(set(&[]))), ["pause"]);
    assert!(stop_reason(script).contains("forced"));
}

#[test]
fn free_pages_are_not_sent_until_somebody_writes_to_them() {
    let mut script = Script::new(SourceConfig { downtime: Duration::from_millis(100), ..config() });
    script.at(1, hello());
    script.at(5, said(TargetMessage::Prepared));
    script.at(6, Event::LanesOpen);
    script.at(7, said(TargetMessage::LanesOpen));
    script.at(11, Event::Free(set(&[1, 2, 100])));
    assert_eq!(script.at(12, Event::Tracking(set(&[0, 1, 2]))), ["round 1: [0..1]"], "1 and 2 are free");
    script.at(20, sent(1));
    script.at(22, round_done(1, 1));
    // Page 2 was taken again before the harvest, page 7 freed after it had been written.
    script.at(23, Event::Free(set(&[2, 7])));
    assert_eq!(script.at(23, Event::Harvested(set(&[2, 9]))), ["pause"]);
    script.at(24, Event::Paused);
    script.at(25, Event::Free(set(&[9])));
    assert_eq!(script.at(25, Event::Harvested(set(&[3]))), ["last round 2: [2..4]", "save"]);
    let free = script.source.context.account.free;
    assert_eq!(free, 3, "pages 1 and 2, and then 9; nobody ever touched 100, and 7 was not owed");
}

#[test]
fn the_downtime_begins_when_the_guest_is_stopped_and_not_with_the_decision() {
    let mut script = Script::new(config()).set_up().paused();
    script.source.stops_guest(Duration::from_millis(24));
    let mut script = script.last_round().handed_over();
    script.at(33, said(TargetMessage::Running { cpu_us: 4000 }));
    let Downtime { total, pause, .. } = script.report.unwrap().downtime_s;
    assert!((pause - 0.001).abs() < 1e-12 && (total - 0.009).abs() < 1e-12, "{pause} of {total}");
}

#[test]
fn the_time_that_was_taken_from_the_guest_is_in_the_report_of_each_round() {
    let scheme = crate::preset::Scheme::parse(
        "precopy",
        &crate::preset::Overrides { slow: Some("halving".into()), ..Default::default() },
    );
    let tight = SourceConfig { downtime: Duration::from_millis(1), scheme: scheme.unwrap(), ..config() };
    let mut script = Script::new(tight).set_up();
    script.at(20, sent(3));
    script.at(22, round_done(1, 3));
    script.at(23, Event::Slowed(Duration::ZERO));
    // 3 pages took 10 ms to get there, and 9 were written in 11 ms.
    let dirty = set(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(script.at(23, Event::Harvested(dirty)), ["throttle Share(0.5)", "round 2: [0..9]"]);
    script.at(30, sent(9));
    script.at(32, round_done(2, 9));
    script.at(33, Event::Slowed(Duration::from_millis(4)));
    assert_eq!(script.at(33, Event::Harvested(set(&[]))), ["pause"]);
    script.at(35, Event::Slowed(Duration::from_millis(5)));
    script.at(35, Event::Paused);
    script.at(36, Event::Harvested(set(&[])));
    script.at(37, Event::Saved(Sections::default()));
    script.at(38, sent(0));
    script.at(39, said(TargetMessage::Ready));
    script.at(39, Event::GivenUp);
    script.at(40, said(TargetMessage::Running { cpu_us: 0 }));
    let report = script.report.unwrap();
    let taken: Vec<_> = report.rounds.iter().map(|round| round.throttle).collect();
    assert_eq!(taken, [0.0, 0.4, 0.0], "4 of 10 ms in the second round");
    let slowed = report.guest_slowed;
    assert!((slowed.vcpu_s - 0.005).abs() < 1e-12 && (slowed.share - 5.0 / 21.0).abs() < 1e-9, "{slowed:?}");
}

#[test]
fn the_ladder_is_climbed_when_rounds_do_not_help_and_every_step_is_told() {
    let rungs = "stall,rounds=1,time=0s,budget,ceiling=4ms,throttle,by=halving,cancel";
    let config = SourceConfig {
        downtime: Duration::from_millis(2),
        escalate: Escalation::parse(rungs).unwrap(),
        ..config()
    };
    let mut script = Script::new(config).set_up();
    let mut round = 1;
    let mut ms = 20;
    let mut told = vec![];
    while told.len() < 30 && script.report.is_none() {
        script.at(ms, sent(3));
        script.at(ms + 2, round_done(round, 3));
        let next = script.at(ms + 3, Event::Harvested(set(&[0, 1, 2])));
        told.push(next.join(", "));
        if next.contains(&"undo".to_string()) {
            script.undone(ms + 4);
            break;
        }
        (ms, round) = (ms + 10, round + 1);
    }
    let steps = script.source.progress(Duration::from_millis(ms), 0).steps;
    let what: Vec<_> = steps.iter().map(|step| (step.round, step.what.as_str())).collect();
    assert_eq!(
        what,
        [
            (2, "the downtime budget is raised to 4.0 ms"),
            (4, "the guest is slowed by halving"),
            (11, "the migration is given up") // Once halving takes no more.
        ]
    );
    assert!(steps.iter().all(|step| step.why.contains("no lower than 3 pages for 1 rounds")), "{steps:?}");
    assert!(told.last().unwrap().starts_with("say Abort: what is owed"), "{told:?}");
}
