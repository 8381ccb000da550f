//! Where things are: the root of the workspace and the folders below it that checks write to.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The root of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir)
}

/// What is fetched or built once and kept.
#[must_use]
pub fn cache() -> PathBuf {
    root().join(".cache")
}

/// Where cargo builds to.
#[must_use]
pub fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
