//! The comparison with QEMU: the same load guest, the same machine, the same run, turn by turn.
//!
//! `cargo bench -p godwit-tests --bench compare [-- CASE …]` with the cases `idle`, `dirty`, `boot`, `memory`; all of
//! them without arguments. Needs /dev/kvm, `qemu-system-x86_64`, and a release build of godwit (it makes one).
//! Prints one line per figure: median and range of the runs, and the ratio of medians. It judges nothing.

mod figures;
mod godwit;
mod guest;
mod process;
mod qemu;

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use self::{
    figures::Figure,
    guest::{Move, Workload},
};

/// Counted runs of each contestant; one more goes before them and is not counted.
const RUNS: usize = 5;
/// Runs of the case that asks how often the budget was kept.
const BUDGET_RUNS: usize = 10;
/// Downtime that the dirtying guest may have.
const BUDGET: Duration = Duration::from_millis(30);

fn main() -> Result<()> {
    // `cargo bench` passes flags of its own harness; what is left names cases.
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |case: &str| asked.is_empty() || asked.iter().any(|a| a == case);
    let bench = Bench::new()?;
    for (case, run) in CASES {
        if wants(case) {
            println!("\n== {case}");
            run(&bench)?;
        }
    }
    Ok(())
}

/// Touches and frees more memory than a turn needs. Where this machine's memory is itself virtual, a page that lay
/// fallow for some seconds costs its host up to 25 times the price of one just freed; without this, that lottery is
/// all that a total time tells.
fn warm_memory() {
    const BYTES: usize = 3 << 30;
    std::hint::black_box(vec![1u8; BYTES]);
}

type Case = (&'static str, fn(&Bench) -> Result<()>);
const CASES: [Case; 4] =
    [("idle", Bench::idle), ("dirty", Bench::dirty), ("boot", Bench::boot), ("memory", Bench::memory)];

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
        let dir = std::env::temp_dir().join(format!("godwit-compare-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let guest_elf = dir.join("load.elf");
        std::fs::write(&guest_elf, guest_images::LOAD_ELF)?;
        Ok(Self { godwit: target.join("release/godwit"), guest_elf, dir })
    }

    /// 1 GiB with 512 MiB of text, idle, no limit: total time and what the guest saw.
    fn idle(&self) -> Result<()> {
        let work = Workload { memory_mib: 1024, resident_mib: 512, working_set_mib: 512, rate: 0 };
        println!("{work}");
        let budget = Duration::from_millis(300);
        self.turns(&work, budget, RUNS)
    }

    /// The same guest dirtying 50,000 pages/s over 128 MiB: does it converge, and keep the budget?
    fn dirty(&self) -> Result<()> {
        let work = Workload { memory_mib: 1024, resident_mib: 512, working_set_mib: 128, rate: 50_000 };
        println!("{work}, budget {} ms", BUDGET.as_millis());
        self.turns(&work, BUDGET, BUDGET_RUNS)
    }

    /// Every contestant in turn, `runs` times and once to warm up.
    fn turns(&self, work: &Workload, budget: Duration, runs: usize) -> Result<()> {
        let contestants: [(&str, &dyn Fn() -> Result<Move>); 4] = [
            ("godwit, 1 lane", &|| godwit::migrate(self, work, budget, 1)),
            ("godwit, 2 lanes", &|| godwit::migrate(self, work, budget, 2)),
            ("qemu", &|| qemu::migrate(self, work, budget, None)),
            ("qemu, multifd 2", &|| qemu::migrate(self, work, budget, Some(2))),
        ];
        let mut moves: Vec<Vec<Move>> = contestants.iter().map(|_| vec![]).collect();
        for run in 0..=runs {
            for ((name, contestant), moves) in contestants.iter().zip(&mut moves) {
                warm_memory();
                let one = contestant().with_context(|| format!("{name}, run {run}"))?;
                if run > 0 {
                    moves.push(one);
                }
            }
        }
        for ((name, _), moves) in contestants.iter().zip(&moves) {
            let figure =
                |what: &str, of: fn(&Move) -> f64| Figure::new(moves.iter().map(of)).show(name, what);
            figure("total, ms", |m| m.total.as_secs_f64() * 1e3);
            figure("downtime by its own account, ms", |m| m.downtime.as_secs_f64() * 1e3);
            figure("longest gap the guest saw, ms", |m| m.gap.as_secs_f64() * 1e3);
            figure("bytes on the wire, MiB", |m| m.wire_bytes / 1_048_576.0);
            let kept = moves.iter().filter(|m| m.gap <= budget).count();
            println!("{name:<18} gap within {} ms in {kept} of {} runs", budget.as_millis(), moves.len());
        }
        Ok(())
    }

    /// From exec to the guest's READY: 128 MiB guest, 4 MiB resident.
    fn boot(&self) -> Result<()> {
        let work = Workload { memory_mib: 128, resident_mib: 4, working_set_mib: 4, rate: 0 };
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
        let work = Workload { memory_mib: 128, resident_mib: 64, working_set_mib: 64, rate: 0 };
        let (running, migrating): (Vec<f64>, Vec<f64>) =
            (0..RUNS).map(|_| godwit::memory(self, &work)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Figure::new(running.into_iter()).show("godwit", "RSS beyond the guest, running, KiB");
        Figure::new(migrating.into_iter()).show("godwit", "RSS beyond the guest, most while migrating, KiB");
        let qemu = (0..RUNS).map(|_| qemu::memory(self, &work)).collect::<Result<Vec<_>>>()?;
        Figure::new(qemu.into_iter()).show("qemu microvm", "RSS beyond the guest, running, KiB");
        Ok(())
    }
}
