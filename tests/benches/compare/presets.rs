//! Every preset on the same guests, for real, and how far the lab is off: one line each.
//!
//! `GODWIT_PRESETS=auto,clark2005` asks for some; `GODWIT_REPORTS=FOLDER` keeps traces and reports there.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use godwit_tests::lab::{HEAD, Recorded};
use serde_json::Value;

use crate::{
    Bench,
    godwit::{self, Pair},
    warm_memory::WarmMemory,
};

/// A guest of the study.
pub struct Guest {
    pub name: &'static str,
    pub command_line: &'static str,
}

/// 256 MiB of text each, in 512 MiB.
pub const GUESTS: &[Guest] = &[
    Guest { name: "idle", command_line: "memory=256M content=text rate=0" },
    Guest { name: "uniform", command_line: "memory=256M content=text working_set=64M rate=5000" },
    Guest {
        name: "hot",
        command_line: "memory=256M content=text working_set=128M rate=50000 pattern=hotcold write=8",
    },
    Guest {
        name: "unlimited",
        command_line: "memory=256M content=text working_set=128M rate=10000000 write=8",
    },
];
pub const MEMORY_MIB: u32 = 512;
const BANDWIDTH: &str = "125MB/s";
pub const DOWNTIME: &str = "30ms";
/// Longest migration: what is not there by then is stopped and copied.
pub const TIMEOUT: &str = "20s";

/// Moves each guest once by each preset.
pub fn run(bench: &Bench) -> Result<()> {
    let folder = std::env::var_os("GODWIT_REPORTS").map_or_else(|| bench.dir.clone(), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let presets = match std::env::var("GODWIT_PRESETS") {
        Ok(some) => some.split(',').map(Into::into).collect(),
        Err(_) => presets(bench)?,
    };
    println!(
        "\n== presets\nguests of {MEMORY_MIB} MiB, {BANDWIDTH}, budget {DOWNTIME}, at most {TIMEOUT}; one run each"
    );
    for guest in GUESTS {
        println!("\n{}: {}", guest.name, guest.command_line);
        println!(
            "{:<16} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7}  {HEAD}",
            "preset", "total s", "down ms", "pages", "again", "MiB", "rounds", "taken %"
        );
        let mut recorded = None;
        for preset in &presets {
            match one(bench, guest, preset, &folder, &mut recorded) {
                Ok(line) => println!("{preset:<16} {line}"),
                Err(error) => println!("{preset:<16} failed: {error:#}"),
            }
        }
    }
    Ok(())
}

fn presets(bench: &Bench) -> Result<Vec<String>> {
    let output = Command::new(&bench.godwit).args(["presets", "--json"]).output()?;
    let list: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    Ok(list.iter().filter_map(|row| Some(row["name"].as_str()?.to_owned())).collect())
}

/// Moves a guest by `preset`; the first of its kind is `recorded` before.
fn one(
    bench: &Bench,
    guest: &Guest,
    preset: &str,
    folder: &Path,
    recorded: &mut Option<Recorded>,
) -> Result<String> {
    let Pair { from, to, address, source: _source, target: _target } =
        godwit::pair(bench, MEMORY_MIB, guest.command_line)?;
    from.beats(1)?;
    let api = bench.dir.join("source.sock");
    let recorded = match recorded {
        Some(recorded) => recorded,
        none => {
            let trace = folder.join(format!("{}.trace", guest.name));
            let record = Recorded::of(&bench.godwit, &api, trace, "8s", "20ms");
            none.insert(record.map_err(anyhow::Error::msg).context("it cannot be recorded")?)
        }
    };
    let warm = WarmMemory::take()?;
    from.beats(1)?;
    drop(warm);
    let mut command = Command::new(&bench.godwit);
    command.args(["migrate", "--to", &address, "--json", "--preset", preset, "--bandwidth", BANDWIDTH]);
    command.args(["--downtime", DOWNTIME, "--timeout", TIMEOUT, "--on-timeout", "force", "--api"]);
    let output = command.arg(&api).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "godwit migrate: {}", String::from_utf8_lossy(&output.stderr));
    to.beats(2)?;
    let report_file = folder.join(format!("{}-{preset}.json", guest.name));
    std::fs::write(&report_file, &output.stdout)?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let number = |pointer: &str| {
        report.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no {pointer} in the report"))
    };
    let line = format!(
        "{:>8.2} {:>8.1} {:>8} {:>8} {:>8.1} {:>7} {:>7.1}",
        number("/total_s")?,
        number("/downtime_s/total")? * 1e3,
        number("/pages/sent")?,
        number("/pages/duplicate")?,
        number("/bytes/wire")? / 1_048_576.0,
        report["rounds"].as_array().map_or(0, Vec::len),
        number("/guest_slowed/share")? * 1e2
    );
    let off = recorded.off(&report_file).unwrap_or_else(|error| format!("({error})"));
    Ok(format!("{line}  {off}"))
}
