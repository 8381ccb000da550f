//! Sections say what they are, read older versions, and refuse everything else in words.

use serde::{Deserialize, Serialize};

use crate::{MAX_PAYLOAD_BYTES, Schema, Section, Sections, StateError};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Lamp {
    lit: bool,
    lumen: u32,
}

impl Schema for Lamp {
    const KIND: &'static str = "lamp";
    const VERSION: u16 = 2;
    const OLDEST: u16 = 1;

    fn upgrade(section: &Section) -> Result<Self, StateError> {
        Ok(Self { lit: section.decode()?, lumen: 100 })
    }
}

#[test]
fn a_saved_value_comes_back() {
    let lamp = Lamp { lit: true, lumen: 800 };
    let section = Section::of("desk", &lamp).unwrap();
    assert_eq!(section.open::<Lamp>().unwrap(), lamp);
}

#[test]
fn an_older_version_is_upgraded_and_a_newer_refused() {
    let mut old = Section { kind: "lamp".into(), instance: "desk".into(), version: 1, payload: vec![1] };
    assert_eq!(old.open::<Lamp>().unwrap(), Lamp { lit: true, lumen: 100 });
    old.version = 3;
    assert!(old.open::<Lamp>().unwrap_err().to_string().contains("this build reads versions 1 to 2"));
}

#[test]
fn truncated_and_overlong_payloads_are_malformed() {
    let good = Section::of("desk", &Lamp { lit: true, lumen: 800 }).unwrap();
    for payload in [&good.payload[..1], &[good.payload.as_slice(), &[0]].concat()] {
        let bad = Section { payload: payload.to_vec(), ..good.clone() };
        assert!(matches!(bad.open::<Lamp>(), Err(StateError::Malformed { .. })));
    }
}

#[test]
fn a_set_holds_each_name_once_and_within_limits() {
    let one = Section::of("desk", &Lamp { lit: true, lumen: 800 }).unwrap();
    assert!(matches!(Sections::checked(vec![one.clone(), one.clone()]), Err(StateError::Limit { .. })));
    let big = Section { payload: vec![0; MAX_PAYLOAD_BYTES + 1], ..one };
    assert!(matches!(Sections::checked(vec![big]), Err(StateError::Limit { .. })));
}

#[test]
fn a_missing_section_is_named() {
    let error = Sections::default().open::<Lamp>("desk").unwrap_err();
    assert_eq!(error.to_string(), "the saved state has no section 'lamp' for 'desk'");
}
