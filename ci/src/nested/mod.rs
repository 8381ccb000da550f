//! The nested host: QEMU in software emulation with SVM, booting a stock Debian kernel whose own kvm-amd gives a
//! complete /dev/kvm, in which a command runs. It needs no hardware and no privileges beyond those of its caller.
//!
//! What is where:
//! - [`kernel`] finds the Debian kernel and its modules, [`image`] packs the initramfs with the files that were asked
//!   for, [`qemu`] runs the machine, [`control`] reads what its init says on a serial port of its own, [`terminal`]
//!   lends it a person's terminal.
//!
//! Two serial ports keep apart what must not be confused. The first belongs to the command: its terminal, and nothing
//! else ever writes there. The second carries the kernel's console and the results, each marked with a word that is
//! new for each run, which the init forgets before it starts the command: nothing that a guest prints is taken for an
//! exit code.

mod control;
mod image;
pub mod kernel;
mod qemu;
pub mod terminal;

#[cfg(test)]
mod control_test;
#[cfg(test)]
mod image_test;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

pub use image::Bring;
use kernel::{Kernel, Series};

/// The folder in which the command starts, and in which its files are found.
pub const WORK_DIR: &str = "/work";
/// Output kept of a captured run; what is beyond is dropped, and the run goes on.
pub const CAPTURE_BYTES: usize = 16 << 20;

/// What is to run, and where.
#[derive(Clone, Debug)]
pub struct Request {
    /// The kernel of the nested host.
    pub kernel: Series,
    /// Memory of the nested host, in MiB.
    pub memory_mib: u32,
    /// CPUs of the nested host.
    pub cpus: u8,
    /// Files that are brought along.
    pub files: Vec<Bring>,
    /// Linux guests that are brought along, as `/guest/<series>/{vmlinuz,initramfs.cpio}`.
    pub guests: Vec<Series>,
    /// Disk images that are its disks, `/dev/vda` and on; what is written to them is gone with the nested host.
    pub disks: Vec<PathBuf>,
    /// Modules of the nested host's kernel to load beside kvm-amd and tun.
    pub modules: Vec<String>,
    /// The command and its arguments, found in [`WORK_DIR`] or among busybox's applets.
    pub command: Vec<String>,
    /// Whether its clocks count instructions instead of time: what is measured there is then the same however busy this machine
    /// is, and what a CPU does in one instruction costs nothing more.
    pub counts_instructions: bool,
    /// When to give up, counted from when the nested host is up.
    pub timeout: Duration,
    /// Whether the command gets this process's standard input as a terminal.
    pub terminal: bool,
    /// Set by whoever wants the run to end early.
    pub stop: Arc<AtomicBool>,
}

impl Request {
    /// `command` in a nested host of 6.1, 3 GiB, one CPU, five minutes at most.
    #[must_use]
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self {
            kernel: Series::V6_1,
            memory_mib: 3072,
            cpus: 1,
            files: Vec::new(),
            guests: Vec::new(),
            disks: Vec::new(),
            modules: Vec::new(),
            command: command.into_iter().map(Into::into).collect(),
            counts_instructions: false,
            timeout: Duration::from_secs(300),
            terminal: false,
            stop: Arc::default(),
        }
    }

    /// Brings `source` along as a file of the same name in [`WORK_DIR`].
    ///
    /// # Errors
    /// Where there is no such file, or it has no name.
    pub fn bring(mut self, source: impl Into<PathBuf>) -> Result<Self> {
        self.files.push(Bring::into_work_dir(source.into())?);
        Ok(self)
    }
}

/// How a command ended that ended by itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code, as a shell gives it: 128 + n for a signal n, 127 where there is no such command.
    pub code: u8,
    /// Time from the start of QEMU until the nested host was up.
    pub up_after: Duration,
    /// Time from the start of QEMU until its end.
    pub total: Duration,
}

/// The time given was over. It says where, and what the nested host told.
#[derive(Debug)]
pub struct OutOfTime(pub(crate) String);

impl std::fmt::Display for OutOfTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs the request; `output` gets the command's output as it comes.
///
/// # Errors
/// A sentence where the nested host cannot be made, does not come up or ends without a result, and where the command
/// is stopped or runs out of time ([`OutOfTime`]). A command that fails is no error.
pub fn run(request: &Request, output: &mut (dyn FnMut(&[u8]) + Send)) -> Result<Outcome> {
    if request.command.is_empty() {
        bail!("there is no command to run in the nested host");
    }
    crate::packages::ensure(qemu::TOOLS)?;
    let kernel = Kernel::cached(request.kernel)?;
    let run_dir =
        tempfile::Builder::new().prefix("godwit-nested.").tempdir().context("no temporary folder")?;
    let nonce = control::nonce()?;
    let initrd = run_dir.path().join("host.cpio");
    image::pack(request, &kernel, &nonce, &initrd)?;
    let start = Instant::now();
    let events = qemu::run(request, &kernel, &initrd, &nonce, output)?;
    Ok(Outcome { code: events.code, up_after: events.up - start, total: start.elapsed() })
}

/// Runs the request, prints what the command prints as it comes, and returns it as well.
///
/// # Errors
/// As [`run`].
pub fn capture(request: &Request) -> Result<(Outcome, String)> {
    let mut bytes = Vec::new();
    let outcome = run(request, &mut |chunk| {
        let room = CAPTURE_BYTES - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        print!("{}", String::from_utf8_lossy(chunk));
    })
    .with_context(|| format!("it printed:\n{}", String::from_utf8_lossy(&bytes)))?;
    Ok((outcome, String::from_utf8_lossy(&bytes).into_owned()))
}
