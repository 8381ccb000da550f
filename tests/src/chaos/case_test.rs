//! A case is what its name says, and a list of cases leaves no step and no fault out.

use std::collections::BTreeSet;

use super::{
    case::Case,
    fault::FAULTS,
    matrix::{Has, cases},
    point::{POINTS, Point, SEALED_POINTS},
};

const ALL: Has = Has { tls: true, records: true };

#[test]
fn a_name_gives_the_case_back() {
    for case in cases(900, 1, ALL) {
        assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
    }
}

#[test]
fn a_name_that_is_none_is_refused_with_those_that_are() {
    let refused = |name: &str| name.parse::<Case>().unwrap_err();
    assert!(refused("go/flip/1").contains("STEP/FAULT/LANES/PRESET/SEED"));
    assert!(refused("og/flip/1/precopy/1").contains("there is no step 'og'; there are: hello,"));
    assert!(refused("go/flop/1/precopy/1").contains("there is no fault 'flop'; there are: cut-lane,"));
    assert!(refused("go/flip/x/precopy/1").contains("'x' lanes"));
    assert!(refused("go/flip/1/pre/1").contains("preset"));
}

#[test]
fn a_list_has_every_step_with_every_fault_that_fits_and_no_case_twice() {
    let list = cases(450, 5, ALL);
    let names: BTreeSet<_> = list.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), list.len());
    let fitting = |point: Point| FAULTS.iter().filter(|(_, fault)| fault.fits(point)).count();
    for (name, point) in POINTS.into_iter().chain(SEALED_POINTS) {
        let faults: BTreeSet<_> = names
            .iter()
            .filter_map(|case| case.strip_prefix(name)?.strip_prefix('/')?.split('/').next())
            .collect();
        assert_eq!(faults.len(), fitting(point), "{name}: {faults:?}");
    }
    assert!(list.iter().any(|case| case.lanes == 1) && list.iter().any(|case| case.lanes == 2));
}

#[test]
fn a_seed_decides_everything() {
    assert_eq!(cases(50, 9, ALL), cases(50, 9, ALL));
    assert_ne!(cases(50, 9, ALL), cases(50, 10, ALL));
    let case = &cases(1, 3, ALL)[0];
    assert_eq!(format!("{:?}", case.injection()), format!("{:?}", case.clone().injection()));
}
