//! QEMU's microvm as a contestant, driven over QMP.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    Bench,
    guest::{Console, Move, Workload},
    process::{Process, free_port},
};

const BEATS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes per second that no link here reaches.
const UNLIMITED: u64 = 100_000_000_000;

fn command(bench: &Bench, work: &Workload, qmp: &str) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-M",
            "microvm,rtc=on,pit=on,pic=on,isa-serial=on",
            "-accel",
            "kvm",
            "-cpu",
            "host,-arch-capabilities",
        ])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"])
        .args(["-m", &work.memory_mib.to_string(), "-append", &work.command_line(), "-kernel"])
        .arg(&bench.guest_elf)
        .args(["-qmp", &format!("unix:{},server=on,wait=off", bench.dir.join(qmp).display())]);
    command
}

/// From exec to READY.
pub fn boot(bench: &Bench, work: &Workload) -> Result<Duration> {
    let (process, out) = Process::start(&mut command(bench, work, "boot.qmp"))?;
    Ok(Console::of(out).ready()?.duration_since(process.began))
}

/// KiB beyond the guest's own, running.
pub fn memory(bench: &Bench, work: &Workload) -> Result<f64> {
    let (process, out) = Process::start(&mut command(bench, work, "memory.qmp"))?;
    let console = Console::of(out);
    console.ready()?;
    console.beats(BEATS)?;
    process.rss_beyond_guest_kib(work.memory_mib)
}

/// One migration; `multifd` is the number of channels.
pub fn migrate(bench: &Bench, work: &Workload, budget: Duration, multifd: Option<u8>) -> Result<Move> {
    let uri = format!("tcp:127.0.0.1:{}", free_port()?);
    let (_target, out) = Process::start(command(bench, work, "target.qmp").args(["-incoming", "defer"]))?;
    let to = Console::of(out);
    let (_source, out) = Process::start(&mut command(bench, work, "source.qmp"))?;
    let from = Console::of(out);
    from.ready()?;
    from.beats(BEATS)?;
    let mut target = Qmp::connect(&bench.dir.join("target.qmp"))?;
    let mut source = Qmp::connect(&bench.dir.join("source.qmp"))?;
    for qmp in [&mut target, &mut source] {
        qmp.set_up(budget, multifd)?;
    }
    target.execute("migrate-incoming", &json!({ "uri": uri }))?;
    source.execute("migrate", &json!({ "uri": uri }))?;
    let began = Instant::now();
    let info = loop {
        let info = source.execute("query-migrate", &json!({}))?;
        match info["status"].as_str() {
            Some("completed") => break info,
            Some("failed" | "cancelled") => bail!("QEMU: {info}"),
            _ => ensure!(began.elapsed() < PATIENCE, "QEMU has not converged: {info}"),
        }
        sleep(Duration::from_millis(5));
    };
    let ms = |name: &str| {
        info[name].as_u64().map(Duration::from_millis).with_context(|| format!("no {name}: {info}"))
    };
    Ok(Move {
        total: ms("total-time")?,
        downtime: ms("downtime")?,
        gap: to.longest_gap(BEATS)?,
        wire_bytes: info["ram"]["transferred"].as_f64().context("ram.transferred")?,
    })
}

/// A QMP connection.
struct Qmp(BufReader<UnixStream>);

impl Qmp {
    fn connect(path: &Path) -> Result<Self> {
        let began = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(_) if began.elapsed() < PATIENCE => sleep(Duration::from_millis(5)),
                Err(error) => return Err(error).context("QEMU's QMP socket"),
            }
        };
        let mut qmp = Self(BufReader::new(stream));
        qmp.line()?; // The greeting.
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    fn set_up(&mut self, budget: Duration, multifd: Option<u8>) -> Result<()> {
        let limit = json!({ "max-bandwidth": UNLIMITED, "downtime-limit": budget.as_millis() as u64 });
        self.execute("migrate-set-parameters", &limit)?;
        if let Some(channels) = multifd {
            let on = json!({ "capabilities": [{ "capability": "multifd", "state": true }] });
            self.execute("migrate-set-capabilities", &on)?;
            self.execute("migrate-set-parameters", &json!({ "multifd-channels": channels }))?;
        }
        Ok(())
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        ensure!(self.0.read_line(&mut line)? > 0, "QEMU closed its QMP socket");
        Ok(serde_json::from_str(&line)?)
    }

    fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.0.get_mut().write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut answer = self.line()?;
            if let Some(error) = answer.get("error") {
                bail!("QMP {command}: {error}");
            }
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
        }
    }
}
