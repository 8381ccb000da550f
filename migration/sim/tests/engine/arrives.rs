//! Whole migrations on virtual time: every page arrives in its last version, by every preset, lane count and workload.

use std::time::Duration;

use godwit_lab::{Lab, costs::Costs, guest::GuestSpec, link::Link, workload::*};
use godwit_migration::{
    page::PageSet,
    preset::{PRESETS, Scheme},
    source::OnTimeout,
};
use proptest::prelude::*;

use crate::common::{GIGABIT, PAGES, RESIDENT, moved, ms, workloads};

#[test]
fn every_page_arrives_in_its_last_version() {
    for preset in PRESETS {
        for lanes in [1, 2, 5] {
            for (name, workload) in workloads() {
                let mut lab = Lab::new(GuestSpec::new(PAGES, RESIDENT, workload), GIGABIT);
                (lab.scheme, lab.lanes) = (Scheme::of(preset), lanes);
                let run = lab.run();
                moved(&run, &format!("{} on {lanes} lanes, {name}", preset.name));
                assert!(run.versions.iter().any(|version| *version > 1) || name == "idle", "{name} writes");
            }
        }
    }
}

#[test]
fn more_lanes_than_there_are_blocks() {
    let mut lab = Lab::new(GuestSpec::new(64, 64, Box::new(Uniform::new(0..64, 5000.0, 8))), GIGABIT);
    lab.lanes = 16;
    moved(&lab.run(), "one block, 16 lanes");
}

/// Pages of a guest of any kind.
const SOME_PAGES: u32 = 640;

/// A guest of any kind, at up to 30,000 writes/s: the link may not keep up.
#[derive(Clone, Debug)]
struct AnyGuest {
    resident: u32,
    kind: u8,
    first: u32,
    length: u32,
    writes_per_s: f64,
    seed: u64,
}

fn any_guest() -> impl Strategy<Value = AnyGuest> {
    (0..SOME_PAGES, 0..5u8, 0..SOME_PAGES - 1, 1..SOME_PAGES, 10.0..30_000.0, any::<u64>()).prop_map(
        |(resident, kind, first, length, writes_per_s, seed)| AnyGuest {
            resident,
            kind,
            first,
            length,
            writes_per_s,
            seed,
        },
    )
}

impl AnyGuest {
    fn spec(self) -> GuestSpec {
        let Self { resident, kind, first, length, writes_per_s: rate, seed } = self;
        let range = first..(first + length).min(SOME_PAGES);
        let workload: Box<dyn Workload> = match kind {
            0 => Box::new(Idle),
            1 => Box::new(Sequential::new(range, rate)),
            2 => Box::new(Uniform::new(range, rate, seed)),
            3 => Box::new(HotCold::new(range, 0..SOME_PAGES, 0.8, rate, seed)),
            _ => Box::new(Phases::new(vec![
                (ms(3), Box::new(Sequential::new(range.clone(), rate))),
                (ms(2), Box::new(Uniform::new(range, rate / 4.0, seed))),
            ])),
        };
        GuestSpec::new(SOME_PAGES, resident, workload)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_guest_over_any_link(
        guest in any_guest(),
        (preset, lanes, budget_ms) in (0..PRESETS.len(), 1u8..17, 0u64..200),
        (mbytes_per_s, latency_us) in (2.0..2000.0, 20u64..30_000),
        (free, lane_word_us) in (any::<bool>(), 0u64..500),
    ) {
        let link = Link { bytes_per_s: mbytes_per_s * 1e6, latency: Duration::from_micros(latency_us) };
        let mut lab = Lab::new(guest.spec(), link);
        (lab.scheme, lab.lanes, lab.downtime) = (Scheme::of(&PRESETS[preset]), lanes, ms(budget_ms));
        (lab.timeout, lab.on_timeout) = (Some(ms(400)), OnTimeout::Force);
        // The lanes' word may come before or after the target's.
        let costs = if free { Costs::none() } else { Costs::default() };
        lab.costs = Costs { lane_word: Duration::from_micros(lane_word_us), ..costs };
        moved(&lab.run(), "any");
    }
}

/// What a recorded trace would be: the pages dirtied in each interval, again and again.
struct Trace {
    interval: Duration,
    dirtied: Vec<PageSet>,
}

impl Workload for Trace {
    fn run(&mut self, from: Duration, to: Duration, write: &mut dyn FnMut(u32)) {
        let number = |at: Duration| at.as_nanos().div_ceil(self.interval.as_nanos()) as usize;
        for n in number(from)..number(to) {
            self.dirtied[n % self.dirtied.len()].iter().for_each(&mut *write);
        }
    }
}

#[test]
fn a_recorded_trace_stands_in_for_a_workload() {
    let mut dirtied = vec![PageSet::empty(PAGES); 3];
    dirtied[0].insert_range(10..20);
    dirtied[1].insert_range(15..40);
    dirtied[2].insert(1279);
    let trace = Trace { interval: ms(3), dirtied };
    let run = Lab::new(GuestSpec::new(PAGES, 0, Box::new(trace)), GIGABIT).run();
    moved(&run, "trace");
    // The guest ran for three intervals, and then stood still.
    assert!((ms(6)..ms(9)).contains(&run.guest_ran), "{:?}", run.guest_ran);
    let written: Vec<_> = (0..).zip(&run.versions).filter(|(_, v)| **v > 0).map(|(p, v)| (p, *v)).collect();
    let expected = (10..40).map(|page| (page, if (15..20).contains(&page) { 2 } else { 1 }));
    assert!(written.into_iter().eq(expected.chain([(1279, 1)])));
}
