//! A machine under test: the load guest with its console in a file, and what it printed.

use std::{
    path::PathBuf,
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use godwit_migration::{
    host::{PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
};
use vmm_sys_util::tempdir::TempDir;

use super::Machine;
use crate::{
    boot::Kernel,
    config::{DirtyKind, IncomingConfig, MachineConfig, SerialConfig},
    device_set::DeviceSet,
    error::MachineError,
    exit::{Exit, ExitSender},
    run_token::RunToken,
};

/// Long enough for a busy test machine, short enough not to hang a run.
const PATIENCE: Duration = Duration::from_secs(30);

/// A machine with its console in a file.
pub(super) struct Bench {
    pub(super) machine: Machine,
    exits: Receiver<Exit>,
    console: PathBuf,
    _directory: TempDir,
}

fn console() -> (TempDir, PathBuf, SerialConfig) {
    let directory = TempDir::new().unwrap();
    let path = directory.as_path().join("console");
    let serial = SerialConfig::File(path.clone());
    (directory, path, serial)
}

pub(super) fn boot(cmdline: &str, cpus: u8) -> (Bench, RunToken) {
    boot_with(cmdline, cpus, DirtyKind::Log)
}

pub(super) fn boot_sized(cmdline: &str, memory_bytes: u64) -> (Bench, RunToken) {
    start(cmdline, 1, memory_bytes, DirtyKind::Log)
}

pub(super) fn boot_with(cmdline: &str, cpus: u8, dirty: DirtyKind) -> (Bench, RunToken) {
    start(cmdline, cpus, 64 << 20, dirty)
}

/// A machine with these devices, or why there can be none.
pub(super) fn boot_devices(cmdline: &str, devices: DeviceSet) -> Result<(Bench, RunToken), MachineError> {
    try_start(cmdline, 1, 64 << 20, DirtyKind::Log, devices)
}

fn start(cmdline: &str, cpus: u8, memory_bytes: u64, dirty: DirtyKind) -> (Bench, RunToken) {
    try_start(cmdline, cpus, memory_bytes, dirty, DeviceSet::default()).unwrap()
}

fn try_start(
    cmdline: &str,
    cpus: u8,
    memory_bytes: u64,
    dirty: DirtyKind,
    devices: DeviceSet,
) -> Result<(Bench, RunToken), MachineError> {
    let (directory, console, serial) = console();
    let config = MachineConfig {
        kernel: Kernel::Builtin(guest_images::LOAD_ELF),
        initrd: None,
        cmdline: cmdline.into(),
        memory_bytes,
        cpus,
        serial,
        dirty,
        devices,
    };
    let (report, exits) = mpsc::channel();
    let (machine, token) = Machine::boot(&config, ExitSender::from(report))?;
    Ok((Bench { machine, exits, console, _directory: directory }, token))
}

pub(super) fn incoming(like: &Machine) -> Bench {
    incoming_devices(like, DeviceSet::default())
}

/// A machine for the guest of `like`, with these devices on its side.
pub(super) fn incoming_devices(like: &Machine, devices: DeviceSet) -> Bench {
    let (directory, console, serial) = console();
    let (report, exits) = mpsc::channel();
    let config = IncomingConfig { serial, dirty: DirtyKind::Log, devices };
    let machine = Machine::for_incoming(&like.shape().unwrap(), &config, ExitSender::from(report)).unwrap();
    Bench { machine, exits, console, _directory: directory }
}

impl Bench {
    pub(super) fn output(&self) -> String {
        assert!(self.machine.flush_console(PATIENCE));
        String::from_utf8_lossy(&std::fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// The heartbeats that the guest printed: sequence number, and how many bad pages it found.
    pub(super) fn beats(&self) -> Vec<(u64, u64)> {
        let number = |line: &str, name: &str| -> Option<u64> {
            line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        let output = self.output();
        output.lines().filter_map(|line| Some((number(line, "beat")?, number(line, "bad")?))).collect()
    }

    /// Waits until the guest printed `count` heartbeats here.
    pub(super) fn await_beats(&self, count: usize) -> Vec<(u64, u64)> {
        let start = Instant::now();
        loop {
            let beats = self.beats();
            if beats.len() >= count {
                return beats;
            }
            assert!(start.elapsed() < PATIENCE, "no heartbeats; the console has: {}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.exits
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no exit; the console has: {}", self.output()))
    }

    pub(super) fn resume(&mut self, token: RunToken) {
        self.machine.resume(token).map_err(|(_, error)| error).unwrap();
    }
}

/// Every page that the guest ever touched.
pub(super) fn touched(machine: &Machine) -> PageSet {
    let pages = machine.pages();
    let mut touched = PageSet::empty(PageSource::pages(&*pages));
    pages.touched(&mut touched).unwrap();
    touched
}

/// Copies pages.
pub(super) fn copy_pages(from: &Machine, to: &Machine, which: &PageSet) {
    let (from, to) = (from.pages(), to.pages());
    let mut bytes = [0; PAGE_BYTES];
    for page in which.iter() {
        from.read(page, &mut bytes);
        to.put(page, &bytes).unwrap();
    }
}

/// Moves the paused guest of `source`, which is then dropped, and runs it.
pub(super) fn moved(source: Bench, token: RunToken) -> Bench {
    let sections = source.machine.save().unwrap();
    let mut target = incoming(&source.machine);
    copy_pages(&source.machine, &target.machine, &touched(&source.machine));
    target.machine.restore(&sections).unwrap();
    drop(token);
    drop(source);
    target.resume(Machine::grant_from_peer());
    target
}
