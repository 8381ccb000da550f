//! The flags that say what a machine is: kernel, console, dirty tracking.

use clap::{Args, ValueEnum};

use crate::{DirtyKind, SerialConfig, boot::Kernel};

/// What `--kernel` takes for the embedded guest.
pub const BUILTIN_LOAD: &str = "builtin:load";

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

/// `--kernel`: `builtin:load`, or a file.
///
/// # Errors
/// For a builtin that there is not.
pub fn parse_kernel(text: &str) -> Result<Kernel, String> {
    match text.strip_prefix("builtin:") {
        Some("load") => Ok(Kernel::Builtin(guest_images::LOAD_ELF)),
        Some(other) => Err(format!("there is no builtin guest '{other}'; there is {BUILTIN_LOAD}")),
        None if text.is_empty() => Err("a kernel's path is missing".into()),
        None => Ok(Kernel::File(text.into())),
    }
}
