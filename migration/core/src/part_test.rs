//! The grammar of parts, on every part of every axis there is.

use crate::{
    convergence::STOPS,
    order::ORDERS,
    part::{Choice, Kind, Row},
    policy::POLICIES,
    preset::{Overrides, Scheme},
    slow::SLOWS,
};

/// Texts at both ends of what a parameter may hold, and one beyond each.
fn ends(kind: Kind) -> (Vec<String>, Vec<String>) {
    let texts = |numbers: &[f64]| numbers.iter().map(ToString::to_string).collect();
    match kind {
        Kind::Whole(least, most) => {
            let beyond = [most.saturating_add(1).to_string(), "-1".into(), format!("{least}.5")];
            (vec![least.to_string(), most.to_string()], beyond.to_vec())
        }
        Kind::Real(least, most) => (texts(&[least, most]), texts(&[least - 0.1, most + 0.1, f64::NAN])),
        Kind::Time(least, most) => {
            let seconds = |time: std::time::Duration| format!("{}s", time.as_secs_f64());
            (vec![seconds(least), seconds(most)], vec![format!("{}s", most.as_secs_f64() + 1.0), "1".into()])
        }
        Kind::Word(words) => (words.iter().map(ToString::to_string).collect(), vec![]),
    }
}

fn hold<T: ?Sized>(axis: &str, rows: &'static [Row<T>]) {
    for (i, row) in rows.iter().enumerate() {
        assert!(rows[i + 1..].iter().all(|other| other.name != row.name), "{} is there twice", row.name);
        assert!(!row.about.is_empty());
        let same = |text: &str| {
            let choice = Choice::one(axis, rows, text).unwrap();
            let _ = choice.make();
            let again = Choice::one(axis, rows, &choice.to_string()).unwrap();
            assert_eq!((choice.name(), choice.values()), (again.name(), again.values()), "{text}");
            choice.to_string()
        };
        assert_eq!(same(row.name), row.name, "defaults are left out");
        for param in row.params {
            assert!(!param.about.is_empty());
            let (may, may_not) = ends(param.kind);
            may.iter().for_each(|value| {
                same(&format!("{},{}={value}", row.name, param.name));
            });
            for value in may_not.iter().map(String::as_str).chain(["", "much"]) {
                let said =
                    Choice::one(axis, rows, &format!("{},{}={value}", row.name, param.name)).unwrap_err();
                let expected =
                    format!("'{}' of '{}' is '{value}'; it must be {}", param.name, row.name, param.kind);
                assert_eq!(said, expected);
            }
        }
        let said = Choice::one(axis, rows, &format!("{},nosuch=1", row.name)).unwrap_err();
        assert!(said.contains(&format!("'{}' has no parameter 'nosuch'", row.name)), "{said}");
    }
    let said = Choice::one(axis, rows, "nosuch").err().unwrap();
    assert!(rows.iter().all(|row| said.contains(row.name)), "{said}");
}

#[test]
fn every_part_of_every_axis() {
    hold("select", POLICIES);
    hold("order", ORDERS);
    hold("stop", STOPS);
    hold("slow", SLOWS);
}

#[test]
fn a_parameter_belongs_to_the_part_before_it() {
    let parts = Choice::list("stop", STOPS, " growth,factor=2, xen ,rounds=5,copies=1").unwrap();
    assert_eq!(format!("{parts:?}"), "[growth,factor=2, xen,rounds=5,copies=1]");
    let wrong = |text| Choice::list("stop", STOPS, text).err().unwrap();
    assert_eq!(
        wrong("factor=2,growth"),
        "'factor=2' stands before any part of 'stop' that it could belong to"
    );
    assert_eq!(wrong("xen,factor=2"), "'xen' has no parameter 'factor'; it has few, rounds, copies");
    let two = Choice::one("select", POLICIES, "all,skip-redirtied").err().unwrap();
    assert_eq!(two, "'select' takes one part, and 'all,skip-redirtied' names 2");
    assert!(Choice::one("select", POLICIES, "").is_err());
}

#[test]
fn a_presets_parameter_is_set_on_the_first_part_that_has_it() {
    let scheme = Scheme::parse("multistage,history=2,threshold=touched", &Overrides::default()).unwrap();
    assert_eq!(scheme.select.to_string(), "threshold+history,history=2,threshold=touched");
    let said = Scheme::parse("multistage,history=9", &Overrides::default()).unwrap_err();
    assert_eq!(said, "'history' of 'threshold+history' is '9'; it must be a whole number from 2 to 8");
}
