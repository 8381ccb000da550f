//! Every wrong field is named, with what may stand there.

use serde_json::json;

use super::{Refusal, fields::Fields};

const KNOWN: [&str; 2] = ["downtime_ms", "preset"];

fn parse(body: &str) -> Result<Fields, Refusal> {
    Fields::parse("vm.test", &KNOWN, body.as_bytes())
}

fn sentence<T>(result: Result<T, Refusal>) -> String {
    result.map(|_| ()).unwrap_err().sentences.join(": ")
}

#[test]
fn a_misspelt_field_is_named_with_what_was_meant_and_what_is_known() {
    assert_eq!(
        sentence(parse(r#"{"downtme_ms": 3}"#)),
        "vm.test does not know the field \"downtme_ms\" (did you mean 'downtime_ms'?); \
         its fields are downtime_ms, preset"
    );
}

#[test]
fn several_unknown_fields_are_named_at_once_and_long_ones_are_cut() {
    let said = sentence(parse(&format!(r#"{{"a_thing": 1, "{}": 2}}"#, "z".repeat(5000))));
    assert!(said.contains("\"a_thing\", nor \"zzz"), "{said}");
    assert!(said.len() < 300, "{}", said.len());
}

#[test]
fn what_is_no_object_is_refused() {
    assert!(sentence(parse("")).contains("needs a JSON object"));
    assert!(sentence(parse("[1]")).contains("must be a JSON object"));
    assert!(sentence(parse("{\"preset\": ")).contains("is not JSON: EOF while parsing"));
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_what_it_must_be() {
    let mut fields = parse(r#"{"downtime_ms": "thirty"}"#).unwrap();
    assert_eq!(
        sentence(fields.optional::<u64>("downtime_ms", "a whole number")),
        "the field 'downtime_ms' of vm.test is \"thirty\"; it must be a whole number"
    );
}

#[test]
fn a_missing_field_is_asked_for_and_null_is_missing() {
    let mut fields = parse(r#"{"preset": null}"#).unwrap();
    assert_eq!(fields.optional::<String>("preset", "a name"), Ok(None));
    assert_eq!(
        sentence(fields.required::<String>("preset", "a name")),
        "vm.test needs the field 'preset': a name"
    );
}

#[test]
fn a_field_with_one_possible_value_takes_only_that() {
    let body = r#"{"preset": false, "downtime_ms": 1}"#;
    let mut fields = parse(body).unwrap();
    assert_eq!(fields.only("preset", &[json!(false)]), Ok(()));
    assert_eq!(fields.only("preset", &[json!(false)]), Ok(()), "absent is fine");
    assert!(
        sentence(fields.only("downtime_ms", &[])).ends_with("is 1; it must be null; nothing else is served")
    );
}
