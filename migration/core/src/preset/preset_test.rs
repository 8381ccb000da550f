//! Presets name parts that there are, and are changed axis by axis.

use super::*;
use crate::part::Choice;

#[test]
fn every_part_that_a_preset_names_is_registered_and_names_are_unique() {
    for (i, preset) in PRESETS.iter().enumerate() {
        assert!(PRESETS[i + 1..].iter().all(|other| other.name != preset.name));
        let _ = Scheme::of(preset);
        assert!(!preset.about.is_empty() && !preset.source.is_empty());
    }
}

#[test]
fn an_unknown_preset_is_answered_with_those_there_are() {
    let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
    assert_eq!(
        by_name("postcopy").unwrap_err(),
        format!("there is no preset 'postcopy'; there are: {}", names.join(", "))
    );
}

#[test]
fn a_preset_is_changed_axis_by_axis_and_parameter_by_parameter() {
    let stop = Overrides { stop: Some("xen,downtime-budget".into()), ..Overrides::default() };
    let scheme = Scheme::parse("precopy", &stop).unwrap();
    let names: Vec<_> = scheme.stop.iter().map(Choice::name).collect();
    assert_eq!(
        (names, scheme.name.as_str()),
        (vec!["xen", "downtime-budget"], "precopy stop=xen,downtime-budget")
    );
    let wrong = |text: &str| Scheme::parse(text, &Overrides::default()).unwrap_err();
    assert_eq!(wrong("precopy,histroy=3"), "no part of 'precopy,histroy=3' has a parameter 'histroy'");
    assert_eq!(wrong("precopy,fast"), "'fast' follows a preset; only parameter=value may");
}
