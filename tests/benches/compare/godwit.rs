//! godwit as a contestant.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    Bench,
    cells::Cell,
    guest::{Console, Move, Workload},
    process::{Process, free_port},
    warm_memory::WarmMemory,
};

/// Heartbeats before and after a move.
const BEATS: usize = 3;

fn socket(bench: &Bench, name: &str) -> PathBuf {
    bench.dir.join(name)
}

fn run(bench: &Bench, memory_mib: u32, command_line: &str) -> Result<(Process, Console)> {
    let (process, out) = Process::start(
        Command::new(&bench.godwit)
            .args(["run", "--kernel", "builtin:load", "--memory", &format!("{memory_mib}M")])
            .args(["--cmdline", command_line, "--api"])
            .arg(socket(bench, "source.sock")),
    )?;
    Ok((process, Console::of(out)))
}

/// From exec to READY.
pub fn boot(bench: &Bench, work: &Workload) -> Result<Duration> {
    let (process, console) = run(bench, work.memory_mib, &work.command_line())?;
    Ok(console.ready()?.duration_since(process.began))
}

/// A pair of processes with a guest in one, and the address at which the other waits.
pub struct Pair {
    pub source: Process,
    pub from: Console,
    pub target: Process,
    pub to: Console,
    pub address: String,
}

pub fn pair(bench: &Bench, memory_mib: u32, command_line: &str) -> Result<Pair> {
    let address = format!("tcp:127.0.0.1:{}", free_port()?);
    let (target, out) = Process::start(Command::new(&bench.godwit).args(["receive", "--listen", &address]))?;
    let (source, from) = run(bench, memory_mib, command_line)?;
    from.ready()?;
    Ok(Pair { source, from, target, to: Console::of(out), address })
}

fn migrate_command(bench: &Bench, address: &str, budget: Duration) -> Command {
    let mut command = Command::new(&bench.godwit);
    command.args(["migrate", "--to", address, "--json"]);
    command
        .args(["--downtime", &format!("{}ms", budget.as_millis()), "--api"])
        .arg(socket(bench, "source.sock"));
    command
}

/// One migration, with `extras` added to its command.
pub fn migrate(bench: &Bench, cell: &Cell, warm: WarmMemory, extras: &[&str]) -> Result<Move> {
    let pair = pair(bench, cell.work.memory_mib, &cell.work.command_line())?;
    let mut command = migrate_command(bench, &pair.address, cell.budget);
    command.args(extras);
    if let Some(cap) = cell.cap {
        command.args(["--bandwidth", &cap.to_string()]);
    }
    let before = pair.from.at_work(BEATS)?;
    drop(warm);
    let cpu = pair.source.cpu()? + pair.target.cpu()?;
    let output = command.output()?;
    let cpu = (pair.source.cpu()? + pair.target.cpu()?).saturating_sub(cpu);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "godwit migrate: {said}");
    let report: Value = serde_json::from_slice(&output.stdout).context("the report")?;
    let seconds =
        |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).map(Duration::from_secs_f64);
    Ok(Move {
        total: seconds("/total_s").context("total_s")?,
        downtime: seconds("/downtime_s/total").context("downtime_s.total")?,
        wire_bytes: report.pointer("/bytes/wire").and_then(Value::as_f64).context("bytes.wire")?,
        cpu,
        seen: pair.to.seen(before, &pair.from, BEATS)?,
    })
}

/// KiB beyond the guest's own: running, and at most while migrating.
pub fn memory(bench: &Bench, work: &Workload) -> Result<(f64, f64)> {
    let pair = pair(bench, work.memory_mib, &work.command_line())?;
    pair.from.beats(BEATS)?;
    let running = pair.source.rss_beyond_guest_kib(work.memory_mib)?;
    let mut command = migrate_command(bench, &pair.address, Duration::from_millis(300));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (mut most, began) = (running, Instant::now());
    while child.try_wait()?.is_none() && began.elapsed() < Duration::from_secs(30) {
        // Its mappings are gone once the guest has left.
        most = most.max(pair.source.rss_beyond_guest_kib(work.memory_mib).unwrap_or_default());
    }
    ensure!(child.wait()?.success(), "godwit migrate failed");
    Ok((running, most))
}
