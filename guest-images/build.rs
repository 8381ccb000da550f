//! Builds the load guest: a freestanding program of its own, linked at a fixed address with its own script.
//!
//! Cargo cannot build it as a target of this package, because it has neither a standard library nor the host's
//! entry; so the compiler that builds this package is called for it directly. Neighbour: `src/lib.rs` embeds it.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const SOURCES: &str = "load";
/// Set by Cargo if something else than the compiler looks at this workspace: clippy, which then sees the guest too.
const WRAPPER: &str = "RUSTC_WORKSPACE_WRAPPER";
const LINTS: [&str; 2] = ["-Dclippy::all", "-Dclippy::undocumented_unsafe_blocks"];

fn main() {
    println!("cargo::rerun-if-changed={SOURCES}");
    println!("cargo::rerun-if-env-changed={WRAPPER}");
    let directory = PathBuf::from(variable("OUT_DIR"));
    if let Some(wrapper) = std::env::var_os(WRAPPER) {
        let mut lint = Command::new(wrapper);
        lint.arg(variable("RUSTC")).args(LINTS).arg("--emit=metadata");
        run(compile(&mut lint, &directory.join("load.rmeta")));
    }
    let mut build = Command::new(variable("RUSTC"));
    run(link(compile(&mut build, &directory.join("load.elf"))));
}

/// Completes a call of the compiler by what every kind of call needs.
fn compile<'a>(command: &'a mut Command, output: &Path) -> &'a mut Command {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    command
        .args(["--edition=2024", "--crate-type=bin", "--crate-name=load", "-Dwarnings"])
        .args(["--target=x86_64-unknown-linux-gnu", "-Cpanic=abort", "-Copt-level=2", "-Ccodegen-units=1"])
        .arg(format!("--remap-path-prefix={}=.", package.display()))
        .arg("-o")
        .arg(output)
        .arg(package.join(SOURCES).join("src/main.rs"))
}

/// Adds what makes the result a static image at a fixed address.
fn link(command: &mut Command) -> &mut Command {
    let script = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join(SOURCES).join("load.ld");
    command
        .args([
            "-Crelocation-model=static",
            "-Crelro-level=off",
            "-Cforce-unwind-tables=no",
            "-Cstrip=symbols",
        ])
        .args(["-Clink-arg=-nostdlib", "-Clink-arg=-nostartfiles", "-Clink-arg=-static"])
        .arg("-Clink-arg=-Wl,--build-id=none,--no-eh-frame-hdr")
        .arg(format!("-Clink-arg=-Wl,-T,{}", script.display()))
}

fn run(command: &mut Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("the load guest could not be compiled ({status})")),
        Err(error) => fail(&format!("the compiler could not be started for the load guest: {error}")),
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|error| fail(&format!("{name}: {error}")))
}

fn fail(text: &str) -> ! {
    eprintln!("{text}");
    exit(1)
}
