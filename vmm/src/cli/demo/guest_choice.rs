//! Which guest the demo moves, and how it is booted.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::ensure;
use clap::ValueEnum;

use super::Demo;

/// The two guests there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GuestKind {
    /// The built-in bare-metal guest: fills memory, writes to it, checks it
    Load,
    /// A Linux kernel with an initramfs that does the same; where the host has no hardware virtualization its boot
    /// can take very long
    Linux,
}

/// Where guest-images/linux/build.sh leaves the guest, from the repository's root.
const LINUX_FOLDER: &str = ".cache/linux/6.1";

impl GuestKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Linux => "linux",
        }
    }

    /// How long it may take to be ready.
    #[must_use]
    pub fn boot_limit(self) -> Duration {
        match self {
            Self::Load => Duration::from_secs(60),
            Self::Linux => Duration::from_secs(20 * 60),
        }
    }

    /// How long it may stay silent between two heartbeats.
    #[must_use]
    pub fn silence_limit(self) -> Duration {
        match self {
            Self::Load => Duration::from_secs(10),
            Self::Linux => Duration::from_secs(120),
        }
    }
}

/// The flags of `godwit run` that boot the guest.
///
/// # Errors
/// Where the Linux guest has not been made.
pub fn boot_arguments(demo: &Demo) -> anyhow::Result<Vec<OsString>> {
    match demo.guest {
        GuestKind::Load => {
            ensure!(
                demo.kernel.is_none() && demo.initrd.is_none(),
                "--kernel and --initrd go with --guest linux"
            );
            let resident = demo.memory / 2;
            let working_set = demo.memory / 16;
            let cmdline = format!(
                "memory={resident} working_set={working_set} rate=10000 pattern=hotcold content=text"
            );
            Ok(["--kernel", "builtin:load", "--cmdline", &cmdline].map(OsString::from).into())
        }
        GuestKind::Linux => {
            let kernel = found(demo.kernel.clone(), "vmlinuz")?;
            let initrd = found(demo.initrd.clone(), "initramfs.cpio")?;
            let cmdline = format!(
                "console=ttyS0 quiet panic=-1 godwit.heartbeat=0.2 godwit.mem={} godwit.rate=1000",
                demo.memory / 16
            );
            let mut arguments: Vec<OsString> =
                vec!["--kernel".into(), kernel.into(), "--initrd".into(), initrd.into()];
            arguments.extend(["--cmdline".into(), cmdline.into()]);
            Ok(arguments)
        }
    }
}

/// The file that was given, or the one of the repository's own Linux guest.
fn found(given: Option<PathBuf>, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given);
    }
    let path = PathBuf::from(LINUX_FOLDER).join(name);
    ensure!(
        path.exists(),
        "there is no {} here; make the Linux guest with guest-images/linux/build.sh (from the repository's root), \
         or give --kernel and --initrd",
        path.display()
    );
    Ok(path)
}
