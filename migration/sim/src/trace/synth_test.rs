//! Workloads are read as people write them, and make the traces that they name.

use super::synth::*;

const MIB: u32 = 256;

fn trace(text: &str) -> super::Trace {
    let mut synth = Synth::parse(text).unwrap();
    synth.length = std::time::Duration::from_secs(2);
    synth.trace(64 * MIB, 32 * MIB).unwrap()
}

#[test]
fn rate_and_working_set_are_kept() {
    let trace = trace("sequential,rate=1000,working_set=4M");
    assert_eq!((trace.intervals(), trace.resident().count()), (200, 32 * MIB));
    assert!((trace.dirty_pages_per_s() - 1000.0).abs() < 1.0);
    assert_eq!(trace.working_set_pages(), 4 * MIB);
}

#[test]
fn every_pattern_stays_in_its_working_set() {
    for (name, pattern) in PATTERNS {
        let trace = trace(&format!("{name},rate=20000,working_set=8M,turn=0.5"));
        let last = (0..trace.intervals()).filter_map(|n| trace.dirty(n).iter().last()).max();
        assert_eq!(last.is_none(), pattern == Pattern::Idle, "{name}");
        assert!(last.is_none_or(|last| last < 8 * MIB), "{name} {last:?}");
    }
}

#[test]
fn writers_divide_the_working_set_and_the_hot_tenth_is_hot() {
    let two = trace("uniform,rate=20000,working_set=8M,vcpus=4,writers=2");
    assert_eq!((two.about.vcpus, two.about.writers), (4, 2));
    assert!(two.dirty_pages_per_s() > 35_000.0, "{}", two.dirty_pages_per_s());
    let hot = trace("hot,rate=50000,working_set=40M");
    let in_tenth =
        (0..200).map(|n| hot.dirty(n).iter().filter(|page| *page < 4 * MIB).count()).sum::<usize>();
    assert!(in_tenth as f64 > 0.7 * hot.counts().sum::<u64>() as f64);
}

#[test]
fn what_is_wrong_is_named_with_what_may_stand_there() {
    let wrong = |text: &str| Synth::parse(text).unwrap_err();
    assert!(wrong("chaos").contains("there are: idle, sequential, uniform, hot, phases"));
    assert!(wrong("uniform,speed=1").contains("no parameter 'speed'; it has rate"));
    assert!(wrong("uniform,rate=-1").starts_with("'rate' is '-1'; it must be"));
    assert!(wrong("uniform,working_set=1").contains("a size from 4K"));
    assert!(wrong("uniform,ratio=NaN").contains("'ratio' is 'NaN'"));
    assert!(wrong("uniform,writers=2").contains("there are 1 vCPUs"));
    assert!(wrong("uniform,fast").contains("only parameter=value may"));
}

#[test]
fn the_same_words_make_the_same_trace() {
    assert_eq!(trace("hot,seed=3"), trace("hot,seed=3"));
    assert_ne!(trace("hot,seed=3"), trace("hot,seed=4"));
}
