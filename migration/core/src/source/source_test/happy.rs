//! All goes well: each action, what the report makes of it, and words that overtake one another.

use super::*;
use crate::report::{Downtime, Pages};

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
    assert_eq!(script.at(30, said(TargetMessage::Ready)), ["give up", "say Go"]);
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
    assert_eq!(report.cpu_s.target, Some(0.004));
    assert_eq!((report.error, report.bytes.before_encoding), (None, 6 * 4096));
}

#[test]
fn rounds_go_on_while_the_budget_is_too_small() {
    // Three pages took 10 ms, so two of them would take 6.7 ms, and all else 4 ms and two round trips of 1 ms.
    let mut script =
        Script::new(SourceConfig { downtime: Duration::from_micros(12_600), ..config() }).set_up();
    script.at(20, sent(3));
    script.at(22, round_done(1, 3));
    assert_eq!(script.at(23, Event::Harvested(set(&[0, 9]))), ["round 2: [0..1, 9..10]"]);
    script.at(24, sent(2));
    script.at(29, round_done(2, 2));
    assert_eq!(script.at(30, Event::Harvested(set(&[3]))), ["pause"]);
    let predicted = script.source.progress(Duration::from_millis(31), 0).predicted_downtime_s.unwrap();
    let first_round = 0.010 / 3.0;
    assert!(
        (predicted - first_round - 0.006).abs() < 1e-9,
        "a round of two pages tells nothing: {predicted} s"
    );
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
    assert_eq!(script.at(30, sent(3)), ["give up", "say Go"]);
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
