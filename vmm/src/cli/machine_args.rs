//! The flags that say what a machine is: kernel, console, dirty tracking.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{
    DirtyKind, SerialConfig,
    sandbox::{Mode, Sandbox},
};

/// How pages that the guest wrote are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dirty {
    /// KVM's dirty log: one bitmap, cheapest while few pages change.
    Log,
    /// KVM's dirty rings: one list per vCPU.
    Ring,
}

impl From<Dirty> for DirtyKind {
    fn from(dirty: Dirty) -> Self {
        match dirty {
            Dirty::Log => Self::Log,
            Dirty::Ring => Self::Ring,
        }
    }
}

/// The flags that a booted and a received machine share.
#[derive(Debug, Clone, Args)]
pub struct ConsoleArgs {
    /// Where the guest's serial console goes: stdio (this terminal; Ctrl-A x ends), file=F (output only), socket=F
    /// (a Unix socket that one client at a time can connect to), null
    #[arg(long, value_name = "WHERE", default_value = "stdio")]
    pub serial: SerialConfig,
    /// How pages that the guest writes during a migration are found
    #[arg(long, value_enum, default_value_t = Dirty::Log)]
    pub dirty: Dirty,
}

/// How much of the sandbox there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SandboxMode {
    /// All of it.
    On,
    /// A system call outside the list is told in the kernel's log, and goes on.
    Log,
    /// No system call or file is confined.
    Off,
}

/// The flags that say what the process gives up.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Confine the process to the system calls and files that it needs
    #[arg(long, value_enum, default_value_t = SandboxMode::On)]
    pub sandbox: SandboxMode,
    /// Become this user before anything is read; it needs /dev/kvm and the files that are named
    #[arg(long, value_name = "ID")]
    pub uid: Option<u32>,
    /// Become this group, and give up all others
    #[arg(long, value_name = "ID")]
    pub gid: Option<u32>,
    /// Let a core dump be written, with the guest's memory in it
    #[arg(long)]
    pub dump_guest_memory: bool,
    /// Let requests of the API name what is in this folder: certificates (tls_dir) and sockets (unix:PATH); may be
    /// repeated
    #[arg(long, value_name = "DIR", requires = "api")]
    pub api_dir: Vec<PathBuf>,
}

impl From<SandboxArgs> for Sandbox {
    fn from(args: SandboxArgs) -> Self {
        let mode = match args.sandbox {
            SandboxMode::On => Mode::On,
            SandboxMode::Log => Mode::Log,
            SandboxMode::Off => Mode::Off,
        };
        Self {
            mode,
            uid: args.uid,
            gid: args.gid,
            dump_guest_memory: args.dump_guest_memory,
            api_dirs: args.api_dir,
        }
    }
}
