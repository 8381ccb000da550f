//! The lists name everything that there is.

use godwit_migration::{codec::ENCODINGS, preset::PRESETS};
use serde_json::json;

use super::presets::{axes, list_parts, list_presets, parts, preset};

fn text(list: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = vec![];
    list(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_preset_is_listed_with_its_choices_and_source() {
    let list = text(list_presets);
    assert!(list.starts_with("auto (default): "), "{list}");
    for preset in PRESETS {
        assert!(list.contains(&format!("{}: {}\n", preset.name, preset.about)) || preset.name == "auto");
        assert!(list.contains(&format!("  {}\n", preset.source)));
    }
    let choices =
        "  select threshold+history; order address; stop downtime-budget,xen,few=0; slow none; encode ";
    assert!(list.contains(choices), "{list}");
    let multistage = PRESETS.iter().find(|row| row.name == "multistage").unwrap();
    assert_eq!(preset(multistage)["observe"], json!({"harvests": 4, "every_s": 0.1}));
}

#[test]
fn every_part_is_listed_with_its_parameters() {
    let list = text(list_parts);
    let history =
        "\n    history=3: a page must have been clean in so many harvests; a whole number from 2 to 8\n";
    assert!(list.contains(history), "{list}");
    let document = parts();
    for axis in axes() {
        assert!(list.contains(&format!("{}: {}\n", axis.name, axis.question)));
        let listed = document[axis.name].as_array().unwrap();
        assert_eq!(listed.len(), axis.parts.len());
        for (part, json) in axis.parts.iter().zip(listed) {
            assert!(list.contains(&format!("\n  {}: {}\n", part.name, part.about)));
            assert_eq!(json["name"], part.name);
            for (param, json) in part.params.iter().zip(json["parameters"].as_array().unwrap()) {
                assert!(list.contains(&format!("\n    {}={}: ", param.name, param.default)));
                assert_eq!(json["may_be"], param.kind.to_string());
            }
        }
    }
    assert_eq!(document["encode"].as_array().unwrap().len(), ENCODINGS.len());
}
