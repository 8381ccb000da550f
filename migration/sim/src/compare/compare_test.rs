//! Tables hold what they were given; the study names every scheme; a forecast knows what converges; a check of the lab
//! against itself finds nothing.

use std::time::Duration;

use godwit_migration::preset::{PRESETS, Scheme};

use super::{Row, by_predictors, check, csv, forecast, front::place, study, text};
use crate::{
    link::Link,
    replay::{Coders, Model, Replay},
    trace::{Tape, synth::Synth},
};

const GIGABIT: Link = Link { bytes_per_s: 125e6, latency: Duration::from_micros(50) };
const PAGES: u32 = 16_384;

fn tape(workload: &str) -> Tape {
    let mut synth = Synth::parse(workload).unwrap();
    synth.length = Duration::from_secs(2);
    Tape::new(synth.trace(PAGES, PAGES).unwrap())
}

fn replay(name: &str) -> Replay {
    let preset = PRESETS.iter().find(|preset| preset.name == name).unwrap();
    let mut replay = Replay::new(Scheme::of(preset), Model::over(GIGABIT));
    replay.timeout = Some(Duration::from_secs(4));
    replay
}

#[test]
fn tables_hold_the_figures() {
    let played = replay("precopy").run(&tape("idle"));
    let row = Row::of("a, \"b\"", 125e6, &played);
    let table = text(std::slice::from_ref(&row));
    assert_eq!(table.lines().count(), 2);
    assert!(table.contains(&row.pages_sent.to_string()) && table.contains("125.0"), "{table}");
    let csv = csv(&[row]);
    let [head, line] = csv.lines().collect::<Vec<_>>()[..] else { panic!("{csv}") };
    assert!(line.starts_with("\"a, \"\"b\"\"\",\"precopy\",125000000,completed,"), "{line}");
    assert_eq!(head.split(',').count(), line.replace("a, ", "").split(',').count());
}

#[test]
fn the_study_has_every_scheme_and_the_best_is_marked() {
    let tape = tape("hot,working_set=16M");
    let rows = study::schemes().into_iter().map(|scheme| {
        let mut replay = replay("precopy");
        replay.scheme = scheme;
        let played = replay.run(&tape);
        (Row::of("hot", 125e6, &played), played)
    });
    let part = study::Part { workload: "hot <b>".into(), about: "a trace".into(), rows: rows.collect() };
    let html = study::html(&["fixed".into()], &[part]);
    for preset in PRESETS {
        assert!(html.matches(preset.name).count() >= 3, "{}", preset.name);
    }
    assert!(
        html.contains("hot &lt;b&gt;") && html.contains("class=\"number best\"") && html.contains("<svg")
    );
    for size in [study::Size::Ci, study::Size::Full] {
        size.workloads().iter().for_each(|text| drop(Synth::parse(text).unwrap()));
    }
}

#[test]
fn the_front_is_who_nobody_beats() {
    let base = Row::of("idle", 125e6, &replay("precopy").run(&tape("idle")));
    let row = |name: &str, total_s: f64, downtime_s: f64, bytes: u64| Row {
        preset: name.into(),
        total_s,
        downtime_s,
        bytes,
        ..base.clone()
    };
    let quick = row("quick", 1.0, 0.2, 200);
    let still = row("still", 2.0, 0.01, 200);
    let slow = row("slow", 2.5, 0.2, 210);
    let near = row("near", 2.02, 0.0105, 202);
    let all = [&quick, &still, &slow, &near];
    assert!(place(&quick, &all).behind.is_empty() && place(&quick, &all).worst.is_empty());
    assert!(place(&still, &all).behind.is_empty());
    assert_eq!(place(&slow, &all).behind, ["quick", "still", "near"]);
    assert_eq!(place(&slow, &all).worst, ["total time", "bytes"], "as still as the quick one");
    assert!(place(&near, &all).behind.is_empty(), "a little is nothing");
    let failed = Row { outcome: godwit_migration::report::Outcome::Failed, ..row("failed", 0.1, 0.0, 1) };
    assert!(place(&quick, &[&quick, &failed]).behind.is_empty(), "it did not arrive");
}

#[test]
fn auto_is_on_the_front_of_the_small_study_and_never_the_worst() {
    let size = study::Size::Ci;
    for workload in size.workloads() {
        let synth = Synth::parse(&workload).unwrap();
        let tape = Tape::new(synth.trace(size.pages(), size.pages()).unwrap());
        let rows = PRESETS.iter().map(|preset| {
            let mut replay = Replay::new(Scheme::of(preset), Model::over(GIGABIT));
            replay.timeout = Some(Duration::from_secs(30));
            let played = replay.run(&tape);
            (Row::of(&workload, 125e6, &played), played)
        });
        let part = study::Part { workload: workload.clone(), about: String::new(), rows: rows.collect() };
        let (auto, place) = part.first().unwrap();
        assert_eq!(auto.preset, "auto");
        assert!(place.behind.is_empty() && place.worst.is_empty(), "{workload}: {auto:?} {place:?}");
    }
}

#[test]
fn a_forecast_knows_what_converges() {
    let calm = forecast(&replay("precopy"), &tape("uniform,rate=1000,working_set=16M"));
    assert!(calm.converges && calm.confidence > 0.8, "{calm:?}");
    assert!(calm.downtime_s <= 0.038 && (0.5..0.8).contains(&calm.total_s), "{calm:?}");
    let wild = forecast(&replay("precopy"), &tape("uniform,rate=unlimited,working_set=48M"));
    assert!(!wild.converges && wild.confidence > 0.8, "{wild:?}");
    assert!(wild.total_s > 4.0 && wild.downtime_s > 0.2, "{wild:?}");
    assert!(wild.total_range_s.0 <= wild.total_s && wild.total_s <= wild.total_range_s.1);
}

#[test]
fn the_predictors_are_near_the_lab_for_plain_pre_copy() {
    let (replay, tape) = (replay("precopy"), tape("uniform,rate=4000,working_set=48M"));
    let lab = forecast(&replay, &tape);
    let by = by_predictors(&replay, &tape);
    assert_eq!(by.iter().map(|forecast| forecast.by).collect::<Vec<_>>(), ["avg", "hist"]);
    for forecast in by {
        assert!(forecast.converges && lab.converges, "{forecast:?}");
        assert!((forecast.total_s / lab.total_s - 1.0).abs() < 0.1, "{forecast:?} {lab:?}");
    }
    let wild = by_predictors(&replay, &self::tape("uniform,rate=unlimited,working_set=48M"));
    assert!(wild.iter().all(|forecast| !forecast.converges), "{wild:?}");
}

#[test]
fn a_check_is_given_the_limits_of_the_real_one() {
    let tape = tape("uniform,rate=unlimited,working_set=48M");
    let mut replay = replay("precopy");
    (replay.downtime, replay.timeout) = (Duration::from_millis(2), Some(Duration::from_secs(3)));
    let figures = check(&tape, &replay.run(&tape).report, Coders::default()).unwrap();
    let total = figures.iter().find(|figure| figure.what == "total s").unwrap();
    assert!(total.real > 3.0 && total.percent.abs() < 10.0, "{figures:?}");
}

#[test]
fn lanes_of_one_host_share_its_cores() {
    let tape = tape("idle,ratio=2.7");
    let real = Replay { lanes: 2, ..replay("jin2009") }.run(&tape).report;
    let total = |cores, one_host| {
        check(&tape, &real, Coders { cores, one_host, ..Coders::default() }).unwrap()[0].lab / real.total_s
    };
    assert!((total(2.0, false) - 1.0).abs() < 0.1, "{}", total(2.0, false));
    // zstd's way back costs a quarter of the way there.
    assert!(total(2.0, true) > 1.05, "{}", total(2.0, true));
    assert!(total(1.0, false) > 1.5, "{}", total(1.0, false));
}

#[test]
fn the_lab_agrees_with_itself() {
    let tape = tape("uniform,rate=8000,working_set=32M");
    let real = replay("precopy").run(&tape).report;
    for figure in check(&tape, &real, Coders::default()).unwrap() {
        assert!(figure.percent.abs() < 10.0, "{figure:?}");
    }
    let mut other = real.clone();
    other.pages.total = 5;
    assert!(
        check(&tape, &other, Coders::default()).unwrap_err().contains("'pages.total' of the report is 5")
    );
    let mut other = real.clone();
    other.preset = "warp".into();
    assert!(
        check(&tape, &other, Coders::default()).unwrap_err().contains("'preset' of the report: there is no")
    );
    let mut other = real.clone();
    other.asked = None;
    assert!(
        check(&tape, &other, Coders::default()).unwrap_err().contains("'asked' of the report is missing")
    );
    let mut other = real;
    other.rounds.clear();
    assert!(check(&tape, &other, Coders::default()).unwrap_err().contains("'rounds' of the report"));
}
