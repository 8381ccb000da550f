//! Migrations that complete: every shape of guest and link, again and again, there and back.

use std::time::Duration;

use godwit_migration::{preset::PRESETS, report::Report};
use godwit_tests::{
    journey::{Journey, STANDSTILL},
    program::alone,
    relay::{Relay, Words},
    site::{Listen, Site},
    verdict::Verdict,
    vmm::{GUEST, Migration, Vmm},
};

/// A guest with enough memory for rounds that mean something.
fn boot(site: &Site, cpus: &str, rate: u32, arguments: &[&str]) -> Vmm {
    let parameters = format!("memory=32M working_set=8M rate={rate}");
    site.boot(&parameters, &[&["--memory", "128M", "--cpus", cpus], arguments].concat())
}

/// The report adds up.
fn adds_up(report: &Report, lanes: u8) {
    let told = format!("{report:#?}");
    assert_eq!(report.lanes, lanes, "{told}");
    assert!(
        report.rounds.len() >= 2 && report.rounds.iter().zip(1..).all(|(round, n)| round.n == n),
        "{told}"
    );
    assert_eq!(report.rounds.iter().map(|round| round.sent_pages).sum::<u64>(), report.pages.sent, "{told}");
    assert_eq!(report.rounds.iter().map(|round| round.bytes).sum::<u64>(), report.bytes.wire, "{told}");
    assert_eq!(report.rounds.last().unwrap().owed_after, 0, "{told}");
    assert_eq!(report.pages.by_encoding.values().sum::<u64>(), report.pages.sent, "{told}");
    assert_eq!(
        report.pages.sent - report.pages.duplicate + report.pages.untouched,
        report.pages.total,
        "{told}"
    );
    let down = &report.downtime_s;
    assert!((down.pause + down.harvest + down.transfer + down.handover - down.total).abs() < 1e-3, "{told}");
    assert!(down.total > 0.0 && down.total < report.total_s, "{told}");
}

fn one_move(lanes: u8, cpus: &str, rate: u32) {
    let _turn = alone();
    let site = Site::open();
    let mut journey = Journey::begin(boot(&site, cpus, rate, &[]));
    let report = journey.hop(&site, Listen::Tcp, &["--lanes", &lanes.to_string()]);
    adds_up(report, lanes);
    assert_eq!((report.preset.as_str(), report.tracking.as_str()), ("auto", "kvm-log"));
    let verdict = journey.verdict();
    assert!(rate == 0 || verdict.last().pages > 1000, "{verdict:?}");
}

#[test]
fn idle_1_cpu_1_lane() {
    one_move(1, "1", 0);
}

#[test]
fn idle_1_cpu_2_lanes() {
    one_move(2, "1", 0);
}

#[test]
fn idle_2_cpus_1_lane() {
    one_move(1, "2", 0);
}

#[test]
fn idle_2_cpus_2_lanes() {
    one_move(2, "2", 0);
}

#[test]
fn dirtying_1_cpu_1_lane() {
    one_move(1, "1", 10_000);
}

#[test]
fn dirtying_1_cpu_2_lanes() {
    one_move(2, "1", 10_000);
}

#[test]
fn dirtying_2_cpus_1_lane() {
    one_move(1, "2", 10_000);
}

#[test]
fn dirtying_2_cpus_2_lanes() {
    one_move(2, "2", 10_000);
}

#[test]
fn every_preset_moves_a_guest() {
    let _turn = alone();
    let site = Site::open();
    let mut journey = Journey::begin(boot(&site, "2", 5000, &[]));
    // With the tracking of the process where it arrived before.
    for (preset, dirty) in PRESETS.iter().zip(["ring", "log"].into_iter().cycle()) {
        let target = site.receive(Listen::Unix, &["--dirty", dirty]);
        let report = journey.hop_to(target, &["--preset", preset.name]);
        assert_eq!(report.preset, preset.name);
        assert!(report.stop_reason.is_some(), "{report:#?}");
    }
    journey.verdict();
}

#[test]
fn a_guest_moves_with_either_way_of_finding_dirty_pages() {
    let _turn = alone();
    let site = Site::open();
    for preset in ["precopy", "clark2005"] {
        for dirty in ["log", "ring"] {
            let mut journey = Journey::begin(boot(&site, "2", 5000, &["--dirty", dirty]));
            let target = site.receive(Listen::Unix, &["--dirty", dirty]);
            let report = journey.hop_to(target, &["--preset", preset, "--lanes", "2"]);
            adds_up(report, 2);
            assert_eq!(
                (report.preset.as_str(), report.tracking.as_str()),
                (preset, &*format!("kvm-{dirty}"))
            );
            // From here with the tracking of the target.
            let report = journey.hop(&site, Listen::Unix, &["--preset", preset]);
            assert_eq!(report.tracking, format!("kvm-{dirty}"));
            journey.verdict();
        }
    }
}

#[test]
fn there_and_back_again_over_tcp_and_unix() {
    let _turn = alone();
    let site = Site::open();
    for listen in [Listen::Tcp, Listen::Unix] {
        let mut journey = Journey::begin(boot(&site, "2", 5000, &[]));
        let there = journey.hop(&site, listen, &[]).pages.total;
        let back = journey.hop(&site, listen, &[]).pages.total;
        assert_eq!(there, back);
        journey.verdict();
    }
}

#[test]
fn ten_moves_in_a_row() {
    let _turn = alone();
    let site = Site::open();
    let mut journey = Journey::begin(boot(&site, "2", 5000, &[]));
    for number in 0..10 {
        let listen = if number % 2 == 0 { Listen::Tcp } else { Listen::Unix };
        journey.hop(&site, listen, &["--lanes", if number % 3 == 0 { "2" } else { "1" }]);
    }
    let verdict = journey.verdict();
    let gaps: Vec<_> = verdict.beats.iter().map(|beat| beat.gap.as_millis()).filter(|&ms| ms > 5).collect();
    println!("gaps over 5 ms, in ms: {gaps:?}");
}

#[test]
fn the_console_works_where_the_guest_went() {
    let _turn = alone();
    let site = Site::open();
    let mut journey = Journey::begin(boot(&site, "1", 0, &[]));
    journey.now.program.write("before the move\n");
    journey.now.program.out.wait_for("load: input before the move", GUEST);
    journey.hop(&site, Listen::Tcp, &[]);
    journey.now.program.write("after the move\n");
    journey.now.program.out.wait_for("load: input after the move", GUEST);
    journey.verdict();
}

#[test]
fn the_rest_of_a_guest_that_is_not_there_in_time_is_forced() {
    let _turn = alone();
    let site = Site::open();
    let source = site.boot("memory=64M content=random rate=20000", &["--memory", "128M"]);
    let target = site.receive(Listen::Tcp, &[]);
    let relay = Relay::stopping_after(8 << 20, &target.address());
    let arguments = ["--downtime", "1ms", "--timeout", "1s", "--on-timeout", "force"];
    let mut migration = source.begin_migration(&relay.address(), &arguments);
    relay.wait_stopped();
    std::thread::sleep(Duration::from_millis(1100));
    relay.release();
    let report = Migration::end(&mut migration).completed();
    assert_eq!(report.rounds.len(), 2, "{report:#?}");
    assert!(
        report.rounds[1].sent_pages > 0 && report.stop_reason.as_ref().unwrap().contains("forced"),
        "{report:#?}"
    );
    target.wait_beats(3);
    let console = source.program.out.text() + &target.program.out.text();
    assert!(Verdict::of(&console).unwrap().longest_gap() < STANDSTILL);
}

#[test]
fn a_slow_first_answer_does_not_keep_a_guest_from_moving() {
    let _turn = alone();
    let site = Site::open();
    let (source, target) = (boot(&site, "2", 100_000, &[]), site.receive(Listen::Tcp, &[]));
    let relay = Relay::slow_to_answer(Words::First, Duration::from_millis(500), &target.address());
    let report = source.migrate(&relay.address(), &["--downtime", "200ms", "--timeout", "30s"]).completed();
    let forecast = report.predicted.downtime_s.unwrap();
    assert!(forecast < 0.4, "one late answer makes a forecast of {forecast} s: {report:#?}");
    target.wait_beats(3);
    let console = source.program.out.text() + &target.program.out.text();
    assert!(Verdict::of(&console).unwrap().longest_gap() < STANDSTILL);
}

#[test]
fn a_guest_with_memory_above_4_gib_moves() {
    let _turn = alone();
    let site = Site::open();
    let mut journey = Journey::begin(site.boot("memory=32M rate=1000", &["--memory", "5G"]));
    let report = journey.hop(&site, Listen::Tcp, &[]);
    assert_eq!(report.pages.total, 5 << 18);
    assert!(report.pages.untouched > report.pages.total * 9 / 10, "{:?}", report.pages);
    journey.verdict();
}
