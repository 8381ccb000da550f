//! The words that the comparison takes.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::cells::CELLS;

/// What is run without being asked for.
const CASES: [&str; 2] = ["boot", "memory"];
/// Some minutes each: only where they are asked for.
const LONG: [&str; 2] = ["presets", "predictions"];

/// What somebody asked for.
#[derive(Default)]
pub struct Asked {
    cases: Vec<String>,
    /// Counted runs of each contestant of a cell, in place of the cell's own number.
    pub runs: Option<usize>,
    /// Another build of godwit, which takes part in each cell.
    pub beside: Option<PathBuf>,
    /// The first word of the contestants who take part; all without.
    of: Option<String>,
}

impl Asked {
    /// From the command line; nothing where it asks for help.
    pub fn of(words: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut asked = Self::default();
        for word in words {
            match word.split_once('=') {
                _ if word == "--help" || word == "-h" => return Ok(None),
                // `cargo bench` passes a flag of its own harness.
                _ if word.starts_with('-') => {}
                Some(("runs", count)) => {
                    let count = count.parse().ok().filter(|&count| count > 0);
                    asked.runs = Some(count.with_context(|| format!("'{word}': a number from 1"))?);
                }
                Some(("beside", path)) => {
                    let path = PathBuf::from(path);
                    ensure!(path.is_file(), "'{word}': no such file");
                    asked.beside = Some(path);
                }
                Some(("of", name)) => asked.of = Some(name.to_owned()),
                _ if cases().any(|case| case == word) => asked.cases.push(word),
                _ => {
                    let cases: Vec<_> = cases().collect();
                    bail!("there is no case '{word}'; there are: {}", cases.join(", "))
                }
            }
        }
        Ok(Some(asked))
    }

    /// Whether a case is to be run.
    pub fn wants(&self, case: &str) -> bool {
        self.cases.iter().any(|asked| asked == case) || (self.cases.is_empty() && !LONG.contains(&case))
    }

    /// Whether a contestant of a cell takes part.
    pub fn takes_part(&self, name: &str) -> bool {
        self.of.as_ref().is_none_or(|of| name.split([',', ' ']).next() == Some(of))
    }
}

fn cases() -> impl Iterator<Item = &'static str> {
    CELLS.iter().map(|cell| cell.name).chain(CASES).chain(LONG)
}

/// What `--help` says.
pub fn help() -> String {
    let cells: Vec<_> = CELLS.iter().map(|cell| cell.name).collect();
    format!(
        "cargo bench -p godwit-tests --bench compare -- [CASE ...] [runs=N] [beside=PROGRAM] [of=godwit|qemu]\n\n\
         CASE            a cell ({}), {}; all of these without any.\n\
         {:15} Only where asked for: {}.\n\
         runs=N          counted runs of each contestant of a cell\n\
         beside=PROGRAM  another build of godwit takes part in each cell\n\
         of=NAME         only godwit, or only QEMU, takes part\n",
        cells.join(", "),
        CASES.join(", "),
        "",
        LONG.join(", "),
    )
}
