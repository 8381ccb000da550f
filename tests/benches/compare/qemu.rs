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
    cells::Cell,
    guest::{Console, Move, Workload},
    process::{Process, free_port},
    warm_memory::WarmMemory,
};

const BEATS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(180);
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

/// What a contestant adds to plain pre-copy.
#[derive(Clone, Copy)]
pub struct Extras {
    /// Number of channels.
    pub multifd: Option<u8>,
    /// Compression of what goes over them.
    pub zstd: bool,
    pub xbzrle: bool,
    pub auto_converge: bool,
}

impl Extras {
    pub const NONE: Self = Self { multifd: None, zstd: false, xbzrle: false, auto_converge: false };

    fn capabilities(self) -> Vec<&'static str> {
        let asked = [
            ("multifd", self.multifd.is_some()),
            ("xbzrle", self.xbzrle),
            ("auto-converge", self.auto_converge),
        ];
        asked.into_iter().filter_map(|(name, on)| on.then_some(name)).collect()
    }
}

/// One migration.
pub fn migrate(bench: &Bench, cell: &Cell, warm: WarmMemory, extras: Extras) -> Result<Move> {
    let work = &cell.work;
    let uri = format!("tcp:127.0.0.1:{}", free_port()?);
    let (target, out) = Process::start(command(bench, work, "target.qmp").args(["-incoming", "defer"]))?;
    let to = Console::of(out);
    let (source, out) = Process::start(&mut command(bench, work, "source.qmp"))?;
    let from = Console::of(out);
    from.ready()?;
    let mut target_qmp = Qmp::connect(&bench.dir.join("target.qmp"))?;
    let mut source_qmp = Qmp::connect(&bench.dir.join("source.qmp"))?;
    for qmp in [&mut target_qmp, &mut source_qmp] {
        qmp.set_up(cell, extras)?;
    }
    let before = from.at_work(BEATS)?;
    drop(warm);
    let cpu = source.cpu()? + target.cpu()?;
    target_qmp.execute("migrate-incoming", &json!({ "uri": uri }))?;
    source_qmp.execute("migrate", &json!({ "uri": uri }))?;
    let began = Instant::now();
    let info = loop {
        let info = source_qmp.execute("query-migrate", &json!({}))?;
        match info["status"].as_str() {
            Some("completed") => break info,
            Some("failed" | "cancelled") => bail!("QEMU: {info}"),
            _ => ensure!(began.elapsed() < PATIENCE, "QEMU has not converged: {info}"),
        }
        sleep(Duration::from_millis(5));
    };
    let cpu = (source.cpu()? + target.cpu()?).saturating_sub(cpu);
    let ms = |name: &str| {
        info[name].as_u64().map(Duration::from_millis).with_context(|| format!("no {name}: {info}"))
    };
    Ok(Move {
        total: ms("total-time")?,
        downtime: ms("downtime")?,
        wire_bytes: info["ram"]["transferred"].as_f64().context("ram.transferred")?,
        cpu,
        seen: to.seen(before, &from, BEATS)?,
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

    fn set_up(&mut self, cell: &Cell, extras: Extras) -> Result<()> {
        let limit = json!({
            "max-bandwidth": cell.cap.unwrap_or(UNLIMITED),
            "downtime-limit": cell.budget.as_millis() as u64
        });
        self.execute("migrate-set-parameters", &limit)?;
        for capability in extras.capabilities() {
            let on = json!({ "capabilities": [{ "capability": capability, "state": true }] });
            self.execute("migrate-set-capabilities", &on)?;
        }
        if let Some(channels) = extras.multifd {
            self.execute("migrate-set-parameters", &json!({ "multifd-channels": channels }))?;
        }
        if extras.zstd {
            self.execute("migrate-set-parameters", &json!({ "multifd-compression": "zstd" }))?;
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
