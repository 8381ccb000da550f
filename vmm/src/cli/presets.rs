//! `godwit presets`: which schemes there are, and where each was published.

use std::io::Write;

use clap::Args;
use godwit_migration::preset::PRESETS;
use serde_json::json;

use super::exit_status;

/// List the presets of migration.
#[derive(Debug, Args)]
pub struct Presets {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Presets {
    /// Prints the list; the first is the default.
    pub fn execute(self) -> anyhow::Result<u8> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let rows: Vec<_> = PRESETS
                .iter()
                .map(|p| {
                    json!({"name": p.name, "source": p.source, "select": p.select, "stop": p.stop, "encode": p.encode})
                })
                .collect();
            writeln!(out, "{:#}", json!(rows))?;
            return Ok(exit_status::OK);
        }
        for (i, preset) in PRESETS.iter().enumerate() {
            let default = if i == 0 { " (default)" } else { "" };
            let encode = if preset.encode.is_empty() { "raw".into() } else { preset.encode.join(", ") };
            writeln!(out, "{}{default}\n  {}", preset.name, preset.source)?;
            writeln!(out, "  select {}; stop {}; encode {encode}", preset.select, preset.stop.join(", "))?;
        }
        Ok(exit_status::OK)
    }
}
