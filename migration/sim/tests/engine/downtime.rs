//! Time: what was predicted, what was reported, and what the lab's own clock says.

use std::time::Duration;

use godwit_lab::{
    Lab, Run,
    costs::Costs,
    guest::GuestSpec,
    link::Link,
    workload::{HotCold, Idle, Sequential, Uniform, Workload},
};
use godwit_migration::{
    error::Class, limits::PAGE_BYTES, preset::PRESETS, preset::Scheme, source::OnTimeout,
};

use crate::common::{GIGABIT, moved, ms, scheme, stayed, workloads};

/// 32 MiB, all of it with content.
const PAGES: u32 = 8192;

fn lab(workload: impl Workload + 'static, downtime: Duration) -> Lab {
    let mut lab = Lab::new(GuestSpec::new(PAGES, PAGES, Box::new(workload)), GIGABIT);
    lab.downtime = downtime;
    lab
}

/// The report's steps of the downtime add up, and its total is that of the lab's clock.
#[track_caller]
fn adds_up(run: &Run) {
    let down = run.report.downtime_s;
    let sum = down.pause + down.harvest + down.transfer + down.handover;
    assert!((sum - down.total).abs() < 1e-9, "{down:?}");
    // The report begins with the order to pause, and ends when the target's answer is here.
    let stood = run.stood_still.unwrap().as_secs_f64();
    let more = Costs::default().pause + GIGABIT.latency;
    assert!((down.total - stood - more.as_secs_f64()).abs() < 1e-6, "{stood} s by the clock, {down:?}");
    assert!((run.report.resume_s - down.handover).abs() < 1e-9);
    assert!(run.report.setup_s + down.total < run.report.total_s);
}

#[test]
fn a_convergent_guest_is_down_for_no_longer_than_asked_and_as_predicted() {
    // The guest writes at a third of the link's rate.
    for (budget, error) in [(20, 0.15), (50, 0.08), (100, 0.08), (300, 0.08)] {
        let mut lab = lab(Uniform::new(0..PAGES, 10_000.0, 1), ms(budget));
        lab.scheme = scheme("precopy");
        let run = lab.run();
        moved(&run, "uniform");
        adds_up(&run);
        let (predicted, down) = (run.report.predicted.downtime_s.unwrap(), run.report.downtime_s.total);
        let asked = ms(budget).as_secs_f64();
        assert!(
            predicted <= asked && down <= asked,
            "predicted {predicted} s, down {down} s, asked {asked} s"
        );
        assert!((predicted - down).abs() <= error * down, "predicted {predicted} s, down {down} s");
    }
}

#[test]
fn every_workload_that_converges_is_within_its_budget() {
    for (name, workload) in workloads() {
        let mut lab = Lab::new(GuestSpec::new(PAGES, PAGES, workload), GIGABIT);
        lab.downtime = ms(25);
        let run = lab.run();
        moved(&run, name);
        adds_up(&run);
        assert!(run.report.downtime_s.total <= 0.025, "{name}: {:?}", run.report.downtime_s);
    }
}

#[test]
fn time_on_the_link_is_what_its_rate_and_latency_say() {
    let mut lab = lab(Idle, ms(30));
    lab.costs = Costs::none();
    lab.faults = vec![];
    let run = lab.run();
    moved(&run, "idle");
    let report = &run.report;
    // Nothing but the link takes time: the whole memory once, and round trips: Hello, Prepare, the lane's connection,
    // LanesOpen, RoundDone, Ready, Running; control messages are small.
    let trip = 2.0 * GIGABIT.latency.as_secs_f64();
    let wire = report.bytes.wire as f64 / GIGABIT.bytes_per_s;
    assert!((report.total_s - wire - 7.0 * trip).abs() < 30e-6, "{} s, {wire} s on the wire", report.total_s);
    assert!((report.downtime_s.total - 2.0 * trip).abs() < 20e-6, "{:?}", report.downtime_s);
    let first = &report.rounds[0];
    assert_eq!((first.sent_pages, first.owed_after, report.rounds.len()), (u64::from(PAGES), 0, 2));
    assert!((first.bandwidth / GIGABIT.bytes_per_s - 1.0).abs() < 0.01, "{first:?}");
}

#[test]
fn the_numbers_of_a_report_agree_with_one_another() {
    for preset in PRESETS {
        for (name, workload) in workloads() {
            let mut lab = Lab::new(GuestSpec::new(PAGES, 3000, workload), GIGABIT);
            (lab.scheme, lab.lanes) = (Scheme::of(preset), 3);
            let run = lab.run();
            moved(&run, name);
            let report = &run.report;
            let sum =
                |of: fn(&godwit_migration::report::Round) -> u64| report.rounds.iter().map(of).sum::<u64>();
            assert_eq!(sum(|round| round.sent_pages), report.pages.sent, "{name}");
            assert_eq!(sum(|round| round.bytes), report.bytes.wire, "{name}");
            assert_eq!(report.bytes.wire, run.lane_bytes, "{name}: what was counted is what was sent");
            assert_eq!(report.bytes.before_encoding, report.pages.sent * PAGE_BYTES as u64);
            assert_eq!(report.pages.by_encoding.values().sum::<u64>(), report.pages.sent);
            assert_eq!(report.rounds.last().unwrap().owed_after, 0, "{name}: nothing is left behind");
            // Every page that was ever written has been sent; whatever was sent beyond that had been sent before.
            let written = run.versions.iter().filter(|version| **version > 0).count() as u64;
            assert_eq!(report.pages.sent - report.pages.duplicate, written, "{} {name}", preset.name);
        }
    }
}

#[test]
fn what_nobody_touched_is_neither_read_nor_sent() {
    let guest = GuestSpec::new(PAGES, 100, Box::new(Sequential::new(4000..4010, 100.0)));
    let run = Lab::new(guest, GIGABIT).run();
    moved(&run, "mostly empty");
    let untouched = run.versions.iter().filter(|version| **version == 0).count() as u64;
    assert!(run.report.pages.untouched >= untouched, "as of the start of the migration");
    assert!(run.report.pages.sent < 130, "{:?}", run.report.pages);
}

#[test]
fn skipping_what_was_written_again_sends_less_of_a_hot_set() {
    let sent = |preset: &str| {
        // The hot set is at the end of memory: by the time a round gets there, it has been written again.
        let mut lab = lab(HotCold::new(7000..8000, 0..7000, 0.98, 20_000.0, 6), ms(30));
        lab.scheme = scheme(preset);
        let run = lab.run();
        moved(&run, preset);
        run.report.rounds[0].sent_pages
    };
    let (all, skipping) = (sent("precopy"), sent("clark2005"));
    assert_eq!(all, u64::from(PAGES));
    assert!(skipping < all - 900, "{skipping} of {all}");
}

/// A guest that writes faster than the link carries, all over its memory: pre-copy cannot get there.
fn restless() -> Lab {
    let mut lab = lab(Uniform::new(0..PAGES, 100_000.0, 9), ms(10));
    (lab.scheme, lab.timeout) = (scheme("precopy"), Some(ms(3000)));
    lab
}

#[test]
fn a_guest_that_never_converges_is_left_alone_when_the_time_is_up() {
    let run = restless().run();
    assert_eq!(stayed(&run, "time-out"), Class::Timeout);
    let error = run.report.error.unwrap();
    assert!(error.reason.contains("in the 3.0 s it was given"), "{error}");
    assert!((3.0..3.01).contains(&run.report.total_s), "{} s", run.report.total_s);
    assert_eq!(run.report.downtime_s.total, 0.0);
    assert!((run.guest_ran.as_secs_f64() - run.report.total_s).abs() < 1e-9, "it never stood still");
}

#[test]
fn a_guest_that_never_converges_is_forced_when_that_was_asked() {
    let mut lab = restless();
    lab.on_timeout = OnTimeout::Force;
    let run = lab.run();
    moved(&run, "forced");
    adds_up(&run);
    assert!(run.report.stop_reason.unwrap().contains("forced"));
    assert!(run.report.downtime_s.total > 0.1, "over the budget, knowingly: {:?}", run.report.downtime_s);
    assert!(run.report.total_s < 4.0, "one round after the time-out at the latest");
}

#[test]
fn a_guest_that_never_converges_is_stopped_by_xens_rules() {
    let mut lab = restless();
    (lab.scheme, lab.timeout) = (scheme("clark2005"), None);
    let run = lab.run();
    moved(&run, "clark2005");
    assert!(run.report.rounds.len() <= 30, "{} rounds", run.report.rounds.len());
    assert!(run.report.pages.sent <= 5 * u64::from(PAGES));
}

#[test]
fn every_preset_with_a_bound_comes_to_an_end_by_itself() {
    for preset in PRESETS.iter().filter(|preset| preset.stop != "downtime-budget") {
        let guest = GuestSpec::new(2048, 2048, Box::new(Uniform::new(0..2048, 100_000.0, 9)));
        let mut lab = Lab::new(guest, GIGABIT);
        (lab.scheme, lab.downtime) = (Scheme::of(preset), ms(10));
        let run = lab.run();
        moved(&run, preset.name);
        assert!(run.report.rounds.len() <= 30, "{}: {} rounds", preset.name, run.report.rounds.len());
        assert!(run.report.total_s < 20.0, "{}: {} s", preset.name, run.report.total_s);
        let sent = run.report.pages.sent / 2048;
        assert!(sent <= 5, "{}: {sent} times the memory", preset.name);
    }
}

#[test]
fn a_hot_set_that_is_held_back_is_sent_once() {
    let duplicates = |preset: &str| {
        let mut lab = lab(HotCold::new(7000..8000, 0..7000, 0.98, 20_000.0, 6), ms(5));
        lab.scheme = scheme(preset);
        let run = lab.run();
        moved(&run, preset);
        run.report.pages.duplicate
    };
    let plain = duplicates("precopy");
    for preset in ["multistage", "sharma2016", "zaw2012"] {
        let held = duplicates(preset);
        assert!(held * 2 < plain, "{preset}: {held} pages were sent again, by precopy {plain}");
    }
}

#[test]
fn an_idle_guest_far_away_arrives() {
    // Two round trips of the hand-over are longer than the budget: no further round would change that.
    let guest = GuestSpec::new(1024, 1024, Box::new(Idle));
    let run = Lab::new(guest, Link { bytes_per_s: 12.5e6, latency: ms(40) }).run();
    moved(&run, "idle, 80 ms away");
    assert!(run.report.rounds.len() <= 3, "{} rounds", run.report.rounds.len());
}
