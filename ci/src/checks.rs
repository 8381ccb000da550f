//! The project's checks: everything that is said about its files without running it. Adding one is one line in
//! [`steps`], and a module of its own where it is ours.

use std::process::Command;

use crate::{
    deny, prose, rooms,
    steps::{Step, cargo},
    unsafety, workspace,
};

/// The package that is a workspace of its own, because it is built for the inside of a guest.
const MEMWORK: &str = "guest-images/linux/memwork/Cargo.toml";
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
    rustfmt
        .args(["--check", "--color", "never", "--edition", "2024"])
        .args(LOOSE_ROOTS)
        .current_dir(workspace::root());
    vec![
        cargo(["fmt", "--all", "--check", "--", "--color", "never"]),
        cargo(["fmt", "--manifest-path", MEMWORK, "--check", "--", "--color", "never"]),
        rustfmt,
    ]
}

fn clippy() -> Vec<Command> {
    let own = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    let mut memwork = cargo(["clippy", "--locked"]);
    memwork.args(memwork_arguments()).args(["--all-targets", "--", "-D", "warnings"]);
    vec![cargo(own), memwork]
}

/// What tells cargo to work on the package for the inside of the Linux guest.
pub(crate) fn memwork_arguments() -> [String; 4] {
    let folder = workspace::target().join("memwork");
    ["--manifest-path", MEMWORK, "--target-dir", &folder.to_string_lossy()].map(String::from)
}

fn docs() -> Command {
    let mut docs = cargo(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
    // Private items are documented too, so that links to them lead somewhere.
    docs.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
    docs
}
