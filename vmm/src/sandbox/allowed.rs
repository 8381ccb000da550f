//! What requests may name of the file system: what the command line of `godwit serve` allowed.
//!
//! The kernel sees to it (`paths`); this is so that a client is told at once, and what would help. Where the kernel has no
//! landlock it is all that there is.

use std::path::{Path, PathBuf};

use super::{Paths, paths::folder_of};

/// Files, and folders for all that is in them.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// To be read, written and made.
    pub write: Vec<PathBuf>,
    /// To be read.
    pub read: Vec<PathBuf>,
}

impl Allowed {
    /// The first of `wanted` that may not be named, and what to do about it.
    pub(crate) fn refusal(&self, wanted: &Paths) -> Option<String> {
        let read = wanted.read.iter().map(|path| (path, "--allow-read"));
        let written = wanted.write.iter().chain(&wanted.sockets).map(|path| (path, "--allow"));
        let (path, flag) = read.chain(written).find(|(path, flag)| !self.covers(path, *flag == "--allow"))?;
        Some(format!(
            "{} is not a file that this process was started for; start godwit serve with {flag} {}, or with the folder \
             that all files of its guests are in",
            path.display(),
            if flag == "--allow" && !path.exists() { folder_of(path) } else { path }.display()
        ))
    }

    fn covers(&self, path: &Path, to_write: bool) -> bool {
        let Some(path) = real(path) else { return false };
        let is_in =
            |grants: &[PathBuf]| grants.iter().filter_map(|grant| real(grant)).any(|g| path.starts_with(g));
        is_in(&self.write) || (!to_write && is_in(&self.read))
    }

    /// The first that is not there, which the kernel would pass over.
    pub(crate) fn missing(&self) -> Option<&Path> {
        self.write.iter().chain(&self.read).find(|path| !path.exists()).map(PathBuf::as_path)
    }
}

/// A path without links and `..`; of what is not there yet, that of its folder with its name.
fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?)))
}
