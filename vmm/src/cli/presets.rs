//! `godwit presets`: which schemes there are and where each was published, and the parts that schemes are made of.

use std::io::Write;

use clap::Args;
use godwit_migration::{
    codec::ENCODINGS,
    convergence::STOPS,
    order::ORDERS,
    part::{Param, Row},
    policy::POLICIES,
    preset::{PRESETS, Preset},
    slow::SLOWS,
};
use serde_json::{Value, json};

use super::exit_status;

/// List the presets of migration, or the parts that they choose from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit presets
  godwit presets --parts
  godwit presets --parts --json")]
pub struct Presets {
    /// List the parts of every axis, with their parameters, defaults and ranges
    #[arg(long)]
    parts: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// An axis and its parts.
pub(super) struct Axis {
    pub(super) name: &'static str,
    pub(super) question: &'static str,
    pub(super) parts: Vec<Part>,
}

/// A part, as it is listed.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) params: &'static [Param],
}

impl Axis {
    fn of<T: ?Sized>(name: &'static str, question: &'static str, rows: &'static [Row<T>]) -> Self {
        let part = |row: &'static Row<T>| Part { name: row.name, about: row.about, params: row.params };
        Self { name, question, parts: rows.iter().map(part).collect() }
    }
}

pub(super) fn axes() -> [Axis; 5] {
    [
        Axis::of("select", "which owed pages a round sends", POLICIES),
        Axis::of("order", "in which order", ORDERS),
        Axis::of("stop", "when pre-copy is over; the first that fires wins", STOPS),
        Axis::of("slow", "whether the guest is slowed", SLOWS),
        Axis::of("encode", "how pages travel; what every part declines goes as it is", ENCODINGS),
    ]
}

impl Presets {
    /// Prints the list; the first preset is the default.
    pub fn execute(self) -> anyhow::Result<u8> {
        let mut out = std::io::stdout().lock();
        match (self.parts, self.json) {
            (false, false) => list_presets(&mut out)?,
            (true, false) => list_parts(&mut out)?,
            (false, true) => writeln!(out, "{:#}", Value::from_iter(PRESETS.iter().map(preset)))?,
            (true, true) => writeln!(out, "{:#}", parts())?,
        }
        Ok(exit_status::OK)
    }
}

pub(super) fn list_presets(out: &mut impl Write) -> std::io::Result<()> {
    for (i, preset) in PRESETS.iter().enumerate() {
        let default = if i == 0 { " (default)" } else { "" };
        writeln!(out, "{}{default}: {}", preset.name, preset.about)?;
        write!(out, "  select {}; order {}; stop {}; ", preset.select, preset.order, preset.stop)?;
        writeln!(out, "slow {}; encode {}", preset.slow, preset.encode)?;
        writeln!(out, "  {}", preset.source)?;
    }
    Ok(())
}

pub(super) fn list_parts(out: &mut impl Write) -> std::io::Result<()> {
    for axis in axes() {
        writeln!(out, "{}: {}", axis.name, axis.question)?;
        for part in axis.parts {
            writeln!(out, "  {}: {}", part.name, part.about)?;
            for param in part.params {
                let Param { name, about, default, kind } = param;
                writeln!(out, "    {name}={default}: {about}; {kind}")?;
            }
        }
    }
    Ok(())
}

pub(super) fn preset(preset: &Preset) -> Value {
    json!({
        "name": preset.name,
        "about": preset.about,
        "source": preset.source,
        "observe": {
            "harvests": preset.observe.harvests,
            "every_s": preset.observe.every.as_secs_f64(),
        },
        "select": preset.select,
        "order": preset.order,
        "stop": preset.stop,
        "slow": preset.slow,
        "encode": preset.encode,
    })
}

pub(super) fn parts() -> Value {
    let param = |param: &Param| {
        json!({
            "name": param.name,
            "about": param.about,
            "default": param.default,
            "may_be": param.kind.to_string(),
        })
    };
    let part = |part: &Part| json!({"name": part.name, "about": part.about, "parameters": Value::from_iter(part.params.iter().map(param))});
    let axis = |axis: &Axis| (axis.name.to_owned(), Value::from_iter(axis.parts.iter().map(part)));
    Value::Object(axes().iter().map(axis).collect())
}
