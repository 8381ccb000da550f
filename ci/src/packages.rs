//! Tools that come from Debian's packages: found, or installed where this process may, or named.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Everything that the tests call.
pub const ALL: &[(&str, &str)] = &[
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("lz4", "lz4"),
    ("mke2fs", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// Where `command` is: on the path, or in the folders of the system's own tools, which a user's path may lack.
#[must_use]
pub fn path_of(command: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|folder| folder.join(command)).find(|file| file.is_file())
}

/// Sees to it that every command is there; `tools` pairs each with Debian's package of it.
///
/// # Errors
/// A sentence that names the packages, where they are missing and cannot be installed.
pub fn ensure(tools: &[(&str, &str)]) -> Result<()> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.join(" ");
    if path_of("apt-get").is_none() {
        bail!("these packages (by Debian's names) are missing, and this is not Debian: {what}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("packages are missing; as root: apt-get install {what}");
    }
    eprintln!("installing {what}");
    apt_get(&["update"]).and_then(|()| apt_get(&[&["install"][..], &missing].concat()))
}

/// Debian's names of what is not there, each once.
fn missing<'a>(tools: &[(&str, &'a str)]) -> Vec<&'a str> {
    let mut missing: Vec<&str> =
        tools.iter().filter(|(command, _)| path_of(command).is_none()).map(|&(_, package)| package).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let said = Command::new("apt-get")
        .args(["-y", "-q", "--no-install-recommends"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("apt-get does not start")?;
    if !said.status.success() {
        bail!("apt-get {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&said.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_or_its_package_named() {
        assert!(path_of("sh").is_some());
        let tools = [("sh", "dash"), ("no-such-command", "odd"), ("nor-this", "odd")];
        assert_eq!(missing(&tools), ["odd"]);
        ensure(&[("sh", "dash")]).unwrap();
    }
}
