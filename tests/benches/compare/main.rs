//! The comparison with QEMU: the same load guest, the same machine, the same run, turn by turn. `--help` tells the words
//! that it takes. Needs /dev/kvm, `qemu-system-x86_64`, and a release build of godwit (it makes one). Prints one line per
//! figure: median and range of the runs, and the ratio of medians. It judges nothing.

mod asked;
mod cells;
mod godwit;
mod guest;
mod predictions;
mod presets;
mod process;
mod qemu;
mod warm_memory;

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use godwit_tests::figures::Figure;

use self::{
    asked::Asked,
    cells::{CELLS, Cell},
    guest::{Move, Workload},
    warm_memory::WarmMemory,
};

/// Counted runs of boot and memory.
const RUNS: usize = 5;

fn main() -> Result<()> {
    let Some(asked) = Asked::of(std::env::args().skip(1))? else {
        print!("{}", asked::help());
        return Ok(());
    };
    let bench = Bench::new()?;
    for cell in CELLS.iter().filter(|cell| asked.wants(cell.name)) {
        bench.cell(cell, &asked).with_context(|| cell.name.to_owned())?;
    }
    if asked.wants("boot") {
        bench.boot()?;
    }
    if asked.wants("memory") {
        bench.memory()?;
    }
    if asked.wants("presets") {
        presets::run(&bench)?;
    }
    if asked.wants("predictions") {
        predictions::run(&bench)?;
    }
    Ok(())
}

/// One migration. It drops the memory just before it starts.
type Contestant<'a> = Box<dyn Fn(WarmMemory) -> Result<Move> + 'a>;

/// The programs and a place for their sockets.
pub struct Bench {
    godwit: std::path::PathBuf,
    guest_elf: std::path::PathBuf,
    dir: std::path::PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A temporary folder that stays behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Bench {
    fn new() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?;
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "-p", "godwit"])
            .current_dir(root)
            .status()?;
        ensure!(built.success(), "cargo build --release failed");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
        Self::with(target.join("release/godwit"), "compare")
    }

    /// The same with another build of godwit.
    fn with(godwit: std::path::PathBuf, name: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("godwit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let guest_elf = dir.join("load.elf");
        std::fs::write(&guest_elf, guest_images::LOAD_ELF)?;
        Ok(Self { godwit, guest_elf, dir })
    }

    /// Every contestant of a cell in turn, as often as the cell says and once to warm up.
    fn cell(&self, cell: &Cell, asked: &Asked) -> Result<()> {
        let cap = cell.cap.map_or("no cap".into(), |cap| format!("{} MB/s", cap as f64 / 1e6));
        println!("\n== {}\n{}, budget {} ms, {cap}", cell.name, cell.work, cell.budget.as_millis());
        let ours = cell.godwit.iter().map(|&(name, extras)| {
            let run: Contestant = Box::new(move |warm| godwit::migrate(self, cell, warm, extras));
            (name, run)
        });
        let theirs = cell.qemu.iter().map(|&(name, extras)| {
            let run: Contestant = Box::new(move |warm| qemu::migrate(self, cell, warm, extras));
            (name, run)
        });
        let other = asked.beside.clone().map(|godwit| Self::with(godwit, "beside")).transpose()?;
        let beside = other.iter().map(|other| {
            let run: Contestant = Box::new(move |warm| godwit::migrate(other, cell, warm, &[]));
            ("godwit, beside", run)
        });
        let contestants: Vec<_> =
            ours.chain(beside).chain(theirs).filter(|(name, _)| asked.takes_part(name)).collect();
        let mut moves: Vec<Vec<Move>> = contestants.iter().map(|_| vec![]).collect();
        let mut lost: Vec<Option<String>> = contestants.iter().map(|_| None).collect();
        for run in 0..=asked.runs.unwrap_or(cell.runs) {
            let turns = contestants.iter().zip(moves.iter_mut().zip(&mut lost));
            for ((_, contestant), (moves, lost)) in turns.filter(|(_, (_, lost))| lost.is_none()) {
                match contestant(WarmMemory::take()?) {
                    Ok(one) if run > 0 => moves.push(one),
                    Ok(_) => {}
                    // One that does not get there is out; the others go on.
                    Err(error) => *lost = Some(format!("{error:#}")),
                }
            }
        }
        for ((name, _), (moves, lost)) in contestants.iter().zip(moves.iter().zip(&lost)) {
            match lost {
                Some(why) => println!("{name:<20} does not get there: {:.160}", why.replace('\n', " ")),
                None => show(name, moves, cell.budget),
            }
        }
        Ok(())
    }

    /// From exec to the guest's READY: 128 MiB guest, 4 MiB resident.
    fn boot(&self) -> Result<()> {
        println!("\n== boot");
        let work = Workload { memory_mib: 128, resident_mib: 4, working_set_mib: 4, rate: 0, write: 64 };
        let contestants: [(&str, &dyn Fn() -> Result<Duration>); 2] =
            [("godwit", &|| godwit::boot(self, &work)), ("qemu microvm", &|| qemu::boot(self, &work))];
        let mut times = [vec![], vec![]];
        for run in 0..=4 * RUNS {
            for ((_, boot), times) in contestants.iter().zip(&mut times) {
                let time = boot()?;
                if run > 0 {
                    times.push(time.as_secs_f64() * 1e3);
                }
            }
        }
        for ((name, _), times) in contestants.iter().zip(times) {
            Figure::new(times.into_iter()).show(name, "exec to READY, ms");
        }
        Ok(())
    }

    /// Resident memory of the process beyond the guest's own: 128 MiB, 1 vCPU, running and while migrating.
    fn memory(&self) -> Result<()> {
        println!("\n== memory");
        let work = Workload { memory_mib: 128, resident_mib: 64, working_set_mib: 64, rate: 0, write: 64 };
        let (running, migrating): (Vec<f64>, Vec<f64>) =
            (0..RUNS).map(|_| godwit::memory(self, &work)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Figure::new(running.into_iter()).show("godwit", "RSS beyond the guest, running, KiB");
        Figure::new(migrating.into_iter()).show("godwit", "RSS beyond the guest, most while migrating, KiB");
        let qemu = (0..RUNS).map(|_| qemu::memory(self, &work)).collect::<Result<Vec<_>>>()?;
        Figure::new(qemu.into_iter()).show("qemu microvm", "RSS beyond the guest, running, KiB");
        Ok(())
    }
}

/// The figures of one contestant.
fn show(name: &str, moves: &[Move], budget: Duration) {
    let figure = |what: &str, of: fn(&Move) -> f64| Figure::new(moves.iter().map(of)).show(name, what);
    figure("total, ms", |m| m.total.as_secs_f64() * 1e3);
    figure("downtime by its own account, ms", |m| m.downtime.as_secs_f64() * 1e3);
    figure("longest gap the guest saw, ms", |m| m.seen.gap.as_secs_f64() * 1e3);
    figure("bytes on the wire, MiB", |m| m.wire_bytes / 1_048_576.0);
    figure("CPU of both sides, guest included, ms", |m| m.cpu.as_secs_f64() * 1e3);
    if moves.iter().all(|m| m.seen.kept.is_some()) {
        figure("write rate that the guest kept, %", |m| m.seen.kept.unwrap_or_default() * 1e2);
    }
    let within = moves.iter().filter(|m| m.seen.gap <= budget).count();
    println!("{name:<20} gap within {} ms in {within} of {} runs", budget.as_millis(), moves.len());
}
