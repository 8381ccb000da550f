//! The project's checks: everything that is said about its files without running it. Adding one is one line in
//! [`steps`], and a module of its own where it is ours.

use std::process::Command;

use crate::{deny, prose, rooms, steps::Step, steps::cargo, unsafety};

/// The package that is a workspace of its own, because it is built for the inside of a guest.
pub(crate) const MEMWORK: &str = "guest-images/linux/memwork/Cargo.toml";
/// Where it is built.
pub(crate) const MEMWORK_TARGET: &str = "target/memwork";
/// Root modules that belong to no package, because a build script compiles them.
const LOOSE_ROOTS: &[&str] = &["guest-images/load/src/main.rs"];

/// All checks, in the order in which they run: the quick ones first.
#[must_use]
pub fn steps() -> Vec<Step> {
    vec![
        Step::commands("fmt", fmt()),
        Step::inspection("rooms", rooms::check),
        Step::inspection("unsafe", unsafety::check),
        Step::inspection("prose", prose::check),
        Step::new("deny", deny::check),
        Step::commands("clippy", clippy()),
        Step::commands("docs", vec![docs()]),
    ]
}

fn fmt() -> Vec<Command> {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2024"]).args(LOOSE_ROOTS).current_dir(crate::workspace::root());
    vec![cargo(["fmt", "--all", "--check"]), cargo(["fmt", "--manifest-path", MEMWORK, "--check"]), rustfmt]
}

fn clippy() -> Vec<Command> {
    let own = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    let memwork = [
        "clippy",
        "--manifest-path",
        MEMWORK,
        "--target-dir",
        MEMWORK_TARGET,
        "--all-targets",
        "--locked",
        "--",
    ];
    vec![cargo(own), cargo(memwork.into_iter().chain(["-D", "warnings"]))]
}

fn docs() -> Command {
    let mut docs = cargo(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    docs
}
