//! The lock of an image: one machine writes to it, or several read it.
//!
//! A lock of the open file description (fcntl(2), `F_OFD_SETLK`): it goes when the process ends, however that happens,
//! and not when some other descriptor of the file is closed. It covers the whole file, as Cloud Hypervisor's does.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, sync::atomic::Ordering};

use super::{image::Image, sys};

impl Image {
    fn kind_of_lock(&self) -> libc::c_int {
        if self.read_only { libc::F_RDLCK } else { libc::F_WRLCK }
    }

    /// Takes the lock; done at once where it is held.
    ///
    /// # Errors
    /// In words: which process has it, as far as this host tells.
    pub fn lock(&self) -> Result<(), String> {
        if self.locked.load(Ordering::Acquire) {
            return Ok(());
        }
        let path = self.path().display();
        match sys::set_lock(&self.file, self.kind_of_lock()) {
            Ok(()) => {
                self.locked.store(true, Ordering::Release);
                // Until now another host may have written to a device that both have; a file system sees to it itself.
                if !self.is_file {
                    sys::forget_cached(&self.file);
                }
                Ok(())
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) =>
            {
                Err(format!(
                    "its image '{path}' is locked by {}; end that, or use another image",
                    self.holder()
                ))
            }
            Err(error) => Err(format!("its image '{path}' cannot be locked: {error}")),
        }
    }

    /// Lets the lock go.
    pub fn unlock(&self) {
        if self.locked.swap(false, Ordering::AcqRel)
            && let Err(error) = sys::set_lock(&self.file, libc::F_UNLCK)
        {
            tracing::warn!("'{}' cannot be unlocked: {error}", self.path().display());
        }
    }

    /// Who has the lock, in words.
    fn holder(&self) -> String {
        let pid = sys::process_in_the_way(&self.file, self.kind_of_lock()).or_else(|| self.find_holder());
        let Some(pid) = pid else { return "another process, which this one may not look at".into() };
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("process {pid} ({})", name.trim())
    }

    /// The process with a descriptor of this file on which there is a lock.
    fn find_holder(&self) -> Option<libc::pid_t> {
        let own = self.file.metadata().ok()?;
        let is_own = |descriptor: &Path| {
            fs::metadata(descriptor).is_ok_and(|other| (other.dev(), other.ino()) == (own.dev(), own.ino()))
        };
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        processes.into_iter().find(|pid: &libc::pid_t| {
            let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
            descriptors.flatten().any(|descriptor| {
                let number = descriptor.file_name();
                let info = Path::new("/proc").join(pid.to_string()).join("fdinfo").join(number);
                is_own(&descriptor.path())
                    && fs::read_to_string(info)
                        .is_ok_and(|text| text.lines().any(|line| line.starts_with("lock:")))
            })
        })
    }
}

impl Drop for Image {
    /// Closing the file would do, were there not a child process that has the same open file for a moment.
    fn drop(&mut self) {
        self.unlock();
    }
}
