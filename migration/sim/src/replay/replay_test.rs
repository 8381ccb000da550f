//! A replay is what the real machines would do: it adds up, it is deterministic, and it agrees with the lab that moves
//! every byte.

use std::time::Duration;

use godwit_migration::{
    arming::Arming,
    codec::Encoding,
    limits::PAGE_BYTES,
    page::PageSet,
    preset::{Overrides, PRESETS, Scheme},
    report::Outcome,
};

use super::{Model, Replay};
use crate::{
    Lab,
    guest::GuestSpec,
    link::Link,
    trace::{About, Content, Slower, Tape, Trace, synth::Synth},
    workload::Uniform,
};

const PAGES: u32 = 16_384;
const GIGABIT: Link = Link { bytes_per_s: 125e6, latency: Duration::from_micros(50) };

fn tape(text: &str, pages: u32, resident: u32) -> Tape {
    let mut synth = Synth::parse(text).unwrap();
    synth.length = Duration::from_secs(2);
    Tape::new(synth.trace(pages, resident).unwrap())
}

fn scheme(text: &str, slow: Option<&str>) -> Scheme {
    Scheme::parse(text, &Overrides { slow: slow.map(Into::into), ..Overrides::default() }).unwrap()
}

#[test]
fn every_preset_completes_and_adds_up_on_every_pattern() {
    for text in
        ["idle", "sequential,rate=5000", "uniform,rate=100000,working_set=48M", "hot", "phases,turn=0.3"]
    {
        let tape = tape(text, PAGES, PAGES / 2);
        for preset in PRESETS {
            let mut replay = Replay::new(Scheme::of(preset), Model::over(GIGABIT));
            replay.lanes = 2;
            replay.timeout = Some(Duration::from_secs(5));
            let played = replay.run(&tape);
            let (report, what) = (&played.report, format!("{} on {text}", preset.name));
            assert_eq!(report.outcome, Outcome::Completed, "{what}: {:?}", report.error);
            assert_eq!(
                report.pages.sent,
                report.rounds.iter().map(|round| round.sent_pages).sum::<u64>(),
                "{what}"
            );
            assert!(
                report.pages.sent - report.pages.duplicate >= tape.trace().resident().count().into(),
                "{what}"
            );
            assert!(played.stood_still.as_secs_f64() <= report.downtime_s.total + 1e-9, "{what}");
            let again = replay.run(&tape);
            assert_eq!(again.report.rounds, report.rounds, "{what}: not deterministic");
        }
    }
}

#[test]
fn an_idle_guest_takes_its_bytes_over_the_link() {
    let tape = tape("idle", PAGES, PAGES / 2);
    let played = Replay::new(scheme("clark2005", None), Model::over(GIGABIT)).run(&tape);
    let link_s = f64::from(PAGES / 2) * PAGE_BYTES as f64 / GIGABIT.bytes_per_s;
    assert!((1.0..1.1).contains(&(played.report.total_s / link_s)), "{} of {link_s}", played.report.total_s);
    assert_eq!((played.report.pages.sent, played.report.pages.duplicate), (u64::from(PAGES / 2), 0));
    assert!((played.kept - 1.0).abs() < 0.01);
}

#[test]
fn pages_that_auto_sends_again_are_told_as_differences() {
    let tape = tape("uniform,rate=5000,working_set=16M", PAGES, PAGES / 2);
    let report = Replay::new(scheme("auto", None), Model::over(GIGABIT)).run(&tape).report;
    let by = |name: &str| report.pages.by_encoding.get(name).copied().unwrap_or_default();
    assert!(report.pages.duplicate > 0 && by("xbzrle") > 0, "{:?}", report.pages);
    assert!(by("xbzrle") <= report.pages.duplicate, "{:?}", report.pages);
}

#[test]
fn it_agrees_with_the_lab_that_moves_every_byte() {
    for preset in ["precopy", "clark2005"] {
        // Noise, as that lab's guest has it: the last round is compressed, whatever the scheme.
        let tape = tape("uniform,rate=8000,working_set=32M,ratio=1", PAGES, PAGES / 2);
        let mut replay = Replay::new(scheme(preset, None), Model::over(GIGABIT));
        replay.scheme.encode = Encoding::parse("none").unwrap();
        let replayed = replay.run(&tape).report;
        let guest = GuestSpec::new(PAGES, PAGES / 2, Box::new(Uniform::new(0..PAGES / 2, 8000.0, 1)));
        let mut lab = Lab::new(guest, GIGABIT);
        lab.scheme = scheme(preset, None);
        lab.scheme.encode = Encoding::parse("none").unwrap();
        let real = lab.run().report;
        let close = |what: &str, a: f64, b: f64, by: f64| {
            assert!((a / b - 1.0).abs() < by, "{preset}: {what} {a} in the replay, {b} in the lab");
        };
        close("total", replayed.total_s, real.total_s, 0.03);
        close("pages", replayed.pages.sent as f64, real.pages.sent as f64, 0.03);
        close("bytes", replayed.bytes.wire as f64, real.bytes.wire as f64, 0.03);
        close("downtime", replayed.downtime_s.total, real.downtime_s.total, 0.25);
    }
}

#[test]
fn the_last_round_is_compressed_whatever_the_scheme() {
    let bytes = |content: &str| {
        let tape = tape(&format!("idle,{content}"), PAGES, PAGES);
        let mut replay = Replay::new(scheme("non-live", None), Model::over(GIGABIT));
        replay.lanes = 2;
        replay.run(&tape).report.bytes
    };
    let (text, noise) = (bytes("ratio=2.7"), bytes("ratio=1"));
    assert_eq!(text.before_encoding, noise.before_encoding);
    let ratio = noise.wire as f64 / text.wire as f64;
    assert!((2.6..2.8).contains(&ratio), "all of it is the last round: {ratio}");
}

#[test]
fn who_chooses_by_the_page_compresses_on_any_link_and_page_by_page() {
    let fast = Link { bytes_per_s: 5e9, ..GIGABIT };
    let bytes = |preset: &str, link: Link, content: &str| {
        let tape = tape(&format!("idle,{content}"), PAGES, PAGES);
        let mut replay = Replay::new(scheme(preset, None), Model::over(link));
        replay.lanes = 2;
        replay.run(&tape).report.bytes.wire as f64 / f64::from(PAGES) / PAGE_BYTES as f64
    };
    assert!((bytes("auto", fast, "ratio=2.7") - 1.0).abs() < 0.01, "by the link");
    for link in [GIGABIT, fast] {
        let share = bytes("jin2009", link, "ratio=2.7");
        assert!((share - 1.0 / 2.7 / 0.88).abs() < 0.01, "{share} of a page");
    }
    assert!(
        (bytes("jin2009", GIGABIT, "ratio=1.1") - 1.0).abs() < 0.01,
        "what is hardly smaller goes as it is"
    );
}

#[test]
fn zeros_cost_next_to_nothing_and_peeking_saves_pages() {
    let bytes = |text: &str, preset: &str| {
        Replay::new(scheme(preset, None), Model::over(GIGABIT)).run(&tape(text, PAGES, PAGES)).report
    };
    let zeros = bytes("idle,zero_share=0.5", "precopy");
    let share = zeros.pages.zero as f64 / zeros.pages.sent as f64;
    assert!((0.47..0.53).contains(&share), "{share}");
    let raw = f64::from(PAGES) * PAGE_BYTES as f64;
    assert!((0.47..0.54).contains(&(zeros.bytes.wire as f64 / raw)));

    let hot = "uniform,rate=30000,working_set=16M";
    let first = |preset| bytes(hot, preset).rounds[0].sent_pages;
    assert!(first("clark2005") < first("precopy"), "what is dirty again is left out of a round");
}

#[test]
fn what_a_record_found_read_is_sent_again_once() {
    // 20 intervals of 10 ms: of 4096 pages each is looked at in one of the first ten, and of 100 each is written in all.
    let about = About { content: Content { ratio: 1.0, ..Content::default() }, ..About::default() };
    let mut trace = Trace::new(about, Duration::from_millis(10), PageSet::full(PAGES)).unwrap();
    let (looked_at, busy) = (1000..5096, 6000..6100);
    for n in 0..20 {
        let mut dirty = PageSet::empty(PAGES);
        dirty.insert_range(busy.clone());
        looked_at.clone().filter(|page| page % 10 == n).for_each(|page| dirty.insert(page));
        trace.push(&dirty);
    }
    let mut only_read = trace.clone();
    only_read.firsts_are_reads(|page, _| page < 6000);
    let duplicates = |trace: &Trace, start: u64| {
        let mut replay = Replay::new(scheme("precopy", None), Model::over(GIGABIT));
        (replay.start, replay.downtime) = (Duration::from_millis(start), Duration::from_millis(6));
        replay.run(&Tape::new(trace.clone())).report.pages.duplicate
    };
    for start in [0, 70, 150] {
        let (once, ever) = (duplicates(&only_read, start), duplicates(&trace, start));
        assert!((4096..5096).contains(&once), "from {start} ms: {once}");
        assert!(ever > 6000, "from {start} ms: {ever} where all of it is written, again and again");
    }
}

#[test]
fn faults_slow_the_guest_and_the_report_of_it_says_so() {
    let mut replay = Replay::new(scheme("precopy", None), Model::over(GIGABIT));
    let tape = tape("uniform,rate=50000,working_set=64M", PAGES, PAGES);
    let free = replay.run(&tape);
    replay.model.fault = Duration::from_micros(28);
    let faulting = replay.run(&tape);
    assert!(free.kept > 0.98, "{}", free.kept);
    assert!((0.3..0.9).contains(&faulting.kept), "{}", faulting.kept);
    assert!(faulting.report.pages.sent < free.report.pages.sent);
}

#[test]
fn it_does_not_matter_how_the_guest_is_played() {
    let tape = tape("hot,rate=50000,working_set=32M", PAGES, PAGES);
    let played = |steps: u32| {
        let mut guest = super::guest::Guest::new(&tape, Duration::ZERO, Duration::ZERO);
        guest.begin_tracking(Duration::ZERO, Arming::AtOnce);
        (1..=steps).for_each(|n| guest.play(Duration::from_millis(500) * n / steps));
        guest.harvest(Duration::from_millis(500))
    };
    assert_eq!(played(1), played(333));
}

#[test]
fn cores_and_measured_coders_set_the_pace() {
    let total = |change: &dyn Fn(&mut Model), content: &dyn Fn(&mut Content), bytes_per_s: f64| {
        let mut synth = Synth::parse("idle").unwrap();
        synth.length = Duration::from_secs(2);
        let mut trace = synth.trace(PAGES, PAGES).unwrap();
        content(&mut trace.about.content);
        let mut model = Model::over(Link { bytes_per_s, ..GIGABIT });
        change(&mut model);
        let mut replay = Replay::new(scheme("auto", None), model);
        replay.lanes = 2;
        let report = replay.run(&Tape::new(trace)).report;
        (report.total_s, report.bytes.wire as f64)
    };
    let (as_it_is, measured) = (
        |_: &mut Content| {},
        |content: &mut Content| {
            content.zstd_bytes_per_s = 400e6;
            content.slower = [(4.0, 60e6), (5.0, 30e6), (5.02, 20e6)]
                .map(|(ratio, bytes_per_s)| Slower { ratio, bytes_per_s });
        },
    );
    let fast = 500e6;
    let two = total(&|_| {}, &as_it_is, fast);
    assert!(total(&|model| model.coders.cores = 1.0, &as_it_is, fast).0 > 1.1 * two.0);
    assert!(total(&|model| model.coders.one_host = true, &as_it_is, fast).0 > 1.05 * two.0);
    assert!(total(&|_| {}, &measured, fast).0 < 0.9 * two.0);
    // What is said counts more than what was measured.
    let said = |model: &mut Model| model.coders.zstd_bytes_per_s = Some(187e6);
    assert!((total(&said, &measured, fast).0 / two.0 - 1.0).abs() < 1e-6);
    // Level 3 for a slow link, level 6 for a slower one, and none of them for others; what gains nothing never.
    for (bytes_per_s, becomes) in [(5e6, 5.0), (20e6, 4.0), (60e6, 2.7)] {
        let ratio = total(&|_| {}, &as_it_is, bytes_per_s).1 / total(&|_| {}, &measured, bytes_per_s).1;
        assert!((ratio - becomes / 2.7).abs() < 0.05, "{bytes_per_s}: {ratio}");
    }
    // Not even where it would be fast enough, if level 1 does not fill the link twice.
    let near = |content: &mut Content| {
        content.zstd_bytes_per_s = 100e6;
        content.slower = [Slower { ratio: 4.0, bytes_per_s: 90e6 }; 3];
    };
    for (bytes_per_s, becomes) in [(20e6, 4.0), (41e6, 2.7)] {
        let ratio = total(&|_| {}, &as_it_is, bytes_per_s).1 / total(&|_| {}, &near, bytes_per_s).1;
        assert!((ratio - becomes / 2.7).abs() < 0.05, "{bytes_per_s}: {ratio}");
    }
    // Where part of the batches is compressed the link waits now and then, where all are it does not.
    let waits = |bytes_per_s| {
        let (total_s, bytes) = total(&|_| {}, &as_it_is, bytes_per_s);
        total_s - 0.008 > 1.05 * bytes / bytes_per_s
    };
    assert_eq!([60e6, fast].map(waits), [false, true]);
}
