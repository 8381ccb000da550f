//! Small file systems of their own under `--state-dir`, to be filled at the worst moment.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::program::run;

/// Room for records, and soon filled.
const OPTIONS: &str = "size=256k,nr_inodes=64,mode=700";
/// The file that fills it.
const FILLER: &str = "filler";

/// Whether the program under test keeps records.
pub fn has_records() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| run(&["receive", "--help"]).out.contains("--state-dir"))
}

/// A mounted tmpfs; gone on drop.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one at `place`, a folder that is not there yet; `None` where this user may not mount anything.
    ///
    /// # Panics
    /// Where the folder cannot be made.
    #[must_use]
    pub fn mount(place: PathBuf) -> Option<Self> {
        fs::create_dir(&place).unwrap_or_else(|e| panic!("{}: {e}", place.display()));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", OPTIONS, "godwit-chaos"]).arg(&place);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(place))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Fills the disk at `place` to the last byte.
pub fn fill(place: &Path) {
    let Ok(mut file) = File::create(place.join(FILLER)) else { return };
    for bytes in [4096, 1] {
        while file.write_all(&vec![0; bytes]).is_ok() {}
    }
}

/// Makes room again.
///
/// # Panics
/// Where what fills the disk cannot be removed.
pub fn empty(place: &Path) {
    match fs::remove_file(place.join(FILLER)) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{}: {error}", place.display()),
        _ => {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still hold a file. The folder above goes with its site.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
