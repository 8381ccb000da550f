//! Licences, sources and duplicates of the dependencies, by cargo-deny and `deny.toml`; and known vulnerabilities where
//! the advisory database can be had. Where it cannot, the step's line says so.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    steps::{Log, cargo},
    workspace,
};

/// The version that `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// Runs cargo-deny, installed into the cache where it is not there.
///
/// # Errors
/// Where it cannot be installed, or finds something.
pub fn check(log: &Log) -> Result<Option<String>> {
    let program = installed(log)?;
    log.run(deny(&program, &["check", "bans", "licenses", "sources"]))?;
    if log.run(deny(&program, &["fetch", "db"])).is_err() {
        return Ok(Some("advisories NOT checked: their database cannot be fetched from here".into()));
    }
    log.run(deny(&program, &["check", "advisories"])).map(|()| None)
}

fn deny(program: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--color", "never", "--workspace", "--locked"])
        .args(arguments)
        .current_dir(workspace::root());
    command
}

fn installed(log: &Log) -> Result<PathBuf> {
    let tools = workspace::cache().join("tools");
    let program = tools.join("bin/cargo-deny");
    let said = Command::new(&program).arg("--version").output();
    if said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim().ends_with(VERSION)) {
        return Ok(program);
    }
    // Built without optimization: it runs for a second, and builds in a third of the time.
    let mut install =
        cargo(["install", "cargo-deny", "--locked", "--debug", "--force", "--version", VERSION]);
    install.arg("--root").arg(&tools).env("CARGO_PROFILE_DEV_DEBUG", "0");
    install.env("CARGO_TARGET_DIR", workspace::target().join("tools"));
    log.run(install)?;
    Ok(program)
}
