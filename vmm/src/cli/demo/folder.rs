//! The demo's own temporary folder.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf};

use anyhow::Context;

/// A folder for this demo's sockets, gone with it.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    ///
    /// # Errors
    /// Where the host cannot, or something of that name is there already.
    pub fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("godwit-demo-{}", std::process::id()));
        // Ours alone, and new: a folder that somebody else has put there is an error.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is two sockets in a temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
