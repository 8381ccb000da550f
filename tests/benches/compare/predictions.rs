//! What `godwit predict` says of a guest, and what its migration then takes: one line for each guest and link.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    Bench, RUNS,
    godwit::{self, Pair},
    presets::{DOWNTIME, GUESTS, Guest, MEMORY_MIB, TIMEOUT},
    warm_memory::WarmMemory,
};

const BANDWIDTHS: [&str; 3] = ["12.5MB/s", "125MB/s", "500MB/s"];
/// Off by no more than this part is as good as right.
const CLOSE: f64 = 0.1;

/// Total time in s, downtime in ms, MiB on the wire.
type Outcome = [f64; 3];

/// Each guest on each link, some times over.
pub fn run(bench: &Bench) -> Result<()> {
    println!(
        "\n== predictions\nguests of {MEMORY_MIB} MiB, budget {DOWNTIME}, {RUNS} runs each; predicted / real, medians; total time \
         off by, each run"
    );
    let (mut close, mut all) = (0, 0);
    for bandwidth in BANDWIDTHS {
        for guest in GUESTS {
            let mut runs = (0..RUNS).map(|_| one(bench, guest, bandwidth)).collect::<Result<Vec<_>>>()?;
            let off: Vec<f64> = runs.iter().map(|(said, took)| said[0] / took[0] - 1.0).collect();
            close += off.iter().filter(|off| off.abs() <= CLOSE).count();
            all += off.len();
            let mut median = |of: fn(&(Outcome, Outcome)) -> f64| {
                runs.sort_by(|a, b| of(a).total_cmp(&of(b)));
                of(&runs[runs.len() / 2])
            };
            let off: Vec<_> = off.iter().map(|off| format!("{:+.0}%", off * 1e2)).collect();
            println!(
                "{bandwidth:<9} {:<10} {:>6.2} / {:>6.2} s  {:>6.1} / {:>6.1} ms down  {:>6.1} / {:>6.1} MiB  {}",
                guest.name,
                median(|run| run.0[0]),
                median(|run| run.1[0]),
                median(|run| run.0[1]),
                median(|run| run.1[1]),
                median(|run| run.0[2]),
                median(|run| run.1[2]),
                off.join(" ")
            );
        }
    }
    println!("total time within {:.0}% in {close} of {all}", CLOSE * 1e2);
    Ok(())
}

/// What was said, and what it took.
fn one(bench: &Bench, guest: &Guest, bandwidth: &str) -> Result<(Outcome, Outcome)> {
    let Pair { from, to, address, source: _source, target: _target } =
        godwit::pair(bench, MEMORY_MIB, guest.command_line)?;
    from.beats(1)?;
    let api = bench.dir.join("source.sock");
    let ask = |words: &[&str]| -> Result<Value> {
        let limits = ["--json", "--bandwidth", bandwidth, "--downtime", DOWNTIME, "--timeout", TIMEOUT];
        let mut command = Command::new(&bench.godwit);
        command.args(words).args(limits).arg("--api").arg(&api).stdin(Stdio::null());
        let output = command.output()?;
        ensure!(output.status.success(), "godwit {}: {}", words[0], String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let said = ask(&["predict", "--one-host"])?;
    let warm = WarmMemory::take()?;
    from.beats(1)?;
    drop(warm);
    let took = ask(&["migrate", "--to", &address, "--on-timeout", "force"])?;
    to.beats(1)?;
    let lab = said["forecasts"].as_array().and_then(|all| all.iter().find(|one| one["by"] == "lab"));
    let lab = lab.context("no forecast by the lab")?;
    Ok((
        outcome(lab, ["/total_s", "/downtime_s", "/bytes"])?,
        outcome(&took, ["/total_s", "/downtime_s/total", "/bytes/wire"])?,
    ))
}

fn outcome(document: &Value, pointers: [&str; 3]) -> Result<Outcome> {
    let mut numbers = [0.0; 3];
    for ((number, pointer), unit) in numbers.iter_mut().zip(pointers).zip([1.0, 1e3, 1.0 / 1_048_576.0]) {
        let value = document.pointer(pointer).and_then(Value::as_f64);
        *number = value.with_context(|| format!("no {pointer}"))? * unit;
    }
    Ok(numbers)
}
