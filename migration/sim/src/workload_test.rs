//! Workloads keep their rate and their pages, and do not care how time is sliced.

use std::time::Duration;

use crate::workload::*;

fn samples() -> Vec<(&'static str, Box<dyn Workload>)> {
    let second = Duration::from_secs(1);
    vec![
        ("idle", Box::new(Idle)),
        ("sequential", Box::new(Sequential::new(10..20, 333.0))),
        ("uniform", Box::new(Uniform::new(10..200, 1000.0, 1))),
        ("hot-cold", Box::new(HotCold::new(10..14, 50..200, 0.9, 1000.0, 2))),
        (
            "phases",
            Box::new(Phases::new(vec![
                (second / 3, Box::new(Sequential::new(10..20, 700.0))),
                (second / 7, Box::new(Idle)),
                (second / 5, Box::new(Uniform::new(30..40, 100.0, 3))),
            ])),
        ),
    ]
}

fn written(workload: &mut dyn Workload, slices: &[Duration]) -> Vec<u32> {
    let (mut at, mut pages) = (Duration::ZERO, vec![]);
    for &slice in slices {
        workload.run(at, at + slice, &mut |page| pages.push(page));
        at += slice;
    }
    pages
}

#[test]
fn it_does_not_matter_how_time_is_sliced() {
    for ((name, mut whole), (_, mut sliced)) in samples().into_iter().zip(samples()) {
        let slices: Vec<_> = (1..=2000).map(Duration::from_micros).collect();
        let all = written(&mut *whole, &[slices.iter().sum()]);
        assert_eq!(all, written(&mut *sliced, &slices), "{name}");
        assert_eq!(all.is_empty(), name == "idle");
    }
}

#[test]
fn a_rate_is_kept_and_pages_are_those_given() {
    let ten = [Duration::from_secs(10)];
    let pages = written(&mut Uniform::new(10..20, 250.0, 9), &ten);
    assert_eq!(pages.len(), 2500);
    assert!((10..20).all(|page| pages.contains(&page)) && pages.iter().all(|page| (10..20).contains(page)));
    assert_eq!(written(&mut Sequential::new(5..8, 0.4), &ten), [5, 6, 7, 5]);
}

#[test]
fn hot_pages_get_their_share() {
    let mut workload = HotCold::new(0..10, 10..1000, 0.9, 10_000.0, 4);
    let hot = written(&mut workload, &[Duration::from_secs(1)]).iter().filter(|&&page| page < 10).count();
    assert!((8_800..9_200).contains(&hot), "{hot} of 10000");
}

#[test]
fn phases_take_turns_and_each_begins_anew() {
    let second = Duration::from_secs(1);
    let mut phases = Phases::new(vec![
        (second, Box::new(Sequential::new(0..100, 2.0))),
        (Duration::ZERO, Box::new(Uniform::new(0..1, 1e9, 0))),
        (second * 2, Box::new(Sequential::new(100..200, 1.0))),
    ]);
    assert_eq!(written(&mut phases, &[second * 5]), [0, 1, 100, 101, 0, 1, 100]);
    assert!(written(&mut Phases::new(vec![]), &[second]).is_empty());
}
