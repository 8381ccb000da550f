//! `cargo ci nested`: a command in the nested host, from a shell.

use std::{
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use godwit_ci::nested::{self, Bring, Request, kernel::Series, terminal::RawTerminal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Run a command on a complete /dev/kvm, in a software-emulated machine with a stock Debian kernel
///
/// The command finds its files in /work, busybox's applets in /bin, and Linux guests in /guest. Its output comes as it
/// is printed, and its exit code becomes the exit code. Everything there is ten to fifty times slower than hardware.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo ci nested -- cat /proc/version\n  \
    cargo ci nested --file target/release/godwit --guest 6.1 -t -- sh")]
pub(crate) struct Arguments {
    /// Kernel of the nested host: 6.1 or 6.12
    #[arg(long, default_value = "6.1", value_name = "SERIES")]
    kernel: Series,
    /// Memory of the nested host in MiB
    #[arg(long, default_value_t = 3072, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..=65536))]
    memory: u32,
    /// CPUs of the nested host
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    smp: u8,
    /// Bring a file, or a folder, along; programs bring their libraries
    #[arg(long = "file", value_name = "PATH[:/DEST]")]
    files: Vec<Bring>,
    /// Bring the Linux guest of a series along, as /guest/SERIES/{vmlinuz,initramfs.cpio}
    #[arg(long = "guest", value_name = "SERIES")]
    guests: Vec<Series>,
    /// Give it a disk image as its disk, /dev/vda and on; what is written there is gone at the end
    #[arg(long = "disk", value_name = "IMAGE")]
    disks: Vec<PathBuf>,
    /// Load a module of the nested host's kernel, beside kvm-amd and tun
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// Have its clocks count instructions, 2 ns each, instead of time
    #[arg(long)]
    count_instructions: bool,
    /// Seconds after which to give up, counted from when the nested host is up; 300 without -t
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,
    /// Lend the command this terminal; Ctrl-] ends the nested host
    #[arg(short, long)]
    terminal: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Time-out without `--timeout`: for a command, and for a person at a terminal.
const COMMAND_SECONDS: u64 = 300;
const TERMINAL_SECONDS: u64 = 24 * 3600;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone()).context("signals cannot be caught")?;
    }
    let default = if arguments.terminal { TERMINAL_SECONDS } else { COMMAND_SECONDS };
    let request = Request {
        kernel: arguments.kernel,
        memory_mib: arguments.memory,
        cpus: arguments.smp,
        files: arguments.files.clone(),
        guests: arguments.guests.clone(),
        disks: arguments.disks.clone(),
        modules: arguments.modules.clone(),
        counts_instructions: arguments.count_instructions,
        timeout: Duration::from_secs(arguments.timeout.unwrap_or(default)),
        terminal: arguments.terminal,
        stop,
        ..Request::new(arguments.command.clone())
    };
    let lent = arguments.terminal.then(RawTerminal::enter).transpose()?;
    let outcome = nested::run(&request, &mut |chunk| {
        let mut out = stdout().lock();
        // A reader that has gone away is no reason to stop the command.
        let _ = out.write_all(chunk).and_then(|()| out.flush());
    });
    drop(lent);
    let outcome = outcome?;
    eprintln!(
        "nested host: up after {:.1} s, ended after {:.1} s, exit code {}",
        outcome.up_after.as_secs_f64(),
        outcome.total.as_secs_f64(),
        outcome.code
    );
    if outcome.code == 127 {
        eprintln!("'{}' was not found there; bring it along with --file", arguments.command[0]);
    }
    Ok(ExitCode::from(outcome.code))
}
