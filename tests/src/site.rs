//! A place where VMM processes run: a folder of their own, and the machine's KVM.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use crate::{kvm_events, terminal::Terminal, vmm::Vmm};

/// Where a target waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// A free port on loopback.
    Tcp,
    /// A Unix socket in the site's folder.
    Unix,
}

/// The place. Its folder goes when it does.
pub struct Site {
    folder: TempDir,
    processes: AtomicU32,
}

impl Default for Site {
    fn default() -> Self {
        Self::open()
    }
}

impl Site {
    /// A new place on a machine with KVM.
    ///
    /// # Panics
    /// Where /dev/kvm cannot be opened: these suites cannot do without.
    #[must_use]
    pub fn open() -> Self {
        kvm_events::shown_at_panic();
        let kvm = File::options().read(true).write(true).open("/dev/kvm");
        assert!(kvm.is_ok(), "these tests need /dev/kvm, readable and writable: {:?}", kvm.err());
        let folder = tempfile::Builder::new().prefix("godwit-tests.").tempdir();
        Self { folder: folder.expect("there is a folder for temporary files"), processes: AtomicU32::new(0) }
    }

    /// A path in the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// A file in the folder that holds `bytes`; its path as text, for a command line.
    ///
    /// # Panics
    /// Where it cannot be written.
    #[must_use]
    pub fn holding(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.file(name);
        std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        text(&path)
    }

    /// Starts `godwit run` with these arguments.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Vmm {
        self.start("run", arguments.iter().map(|&a| a.to_owned()))
    }

    /// As [`run`](Self::run), at a terminal.
    #[must_use]
    pub fn run_on(&self, terminal: &Terminal, arguments: &[&str]) -> Vmm {
        self.start_at("run", arguments.iter().map(|&a| a.to_owned()), Some(terminal))
    }

    /// Starts `godwit receive` at a terminal, on a free port of loopback.
    #[must_use]
    pub fn receive_on(&self, terminal: &Terminal, arguments: &[&str]) -> Vmm {
        let arguments = [&["--listen", "tcp:127.0.0.1:0"], arguments].concat();
        self.start_at("receive", arguments.into_iter().map(str::to_owned), Some(terminal))
    }

    /// Boots the load guest with these parameters, and waits for two heartbeats.
    #[must_use]
    pub fn boot(&self, parameters: &str, arguments: &[&str]) -> Vmm {
        let kernel = ["--kernel", "builtin:load", "--cmdline", parameters];
        let vmm = self.run(&[&kernel, arguments].concat());
        vmm.wait_beats(2);
        vmm
    }

    /// Starts `godwit receive`.
    #[must_use]
    pub fn receive(&self, listen: Listen, arguments: &[&str]) -> Vmm {
        let address = match listen {
            Listen::Tcp => "tcp:127.0.0.1:0".to_owned(),
            Listen::Unix => {
                format!(
                    "unix:{}",
                    text(&self.file(&format!("target{}.sock", self.processes.load(Ordering::Relaxed))))
                )
            }
        };
        let arguments = arguments.iter().map(|&a| a.to_owned());
        self.start("receive", ["--listen".to_owned(), address].into_iter().chain(arguments))
    }

    /// Starts `godwit receive` at this address.
    #[must_use]
    pub fn receive_at(&self, address: &str, arguments: &[&str]) -> Vmm {
        self.start("receive", [&["--listen", address], arguments].concat().into_iter().map(str::to_owned))
    }

    /// Starts `godwit receive` without an address: the API will be told one.
    #[must_use]
    pub fn wait_for_orders(&self) -> Vmm {
        self.start("receive", [])
    }

    /// Starts `godwit serve` with these arguments.
    #[must_use]
    pub fn serve(&self, arguments: &[&str]) -> Vmm {
        self.start("serve", arguments.iter().map(|&a| a.to_owned()))
    }

    fn start(&self, command: &str, arguments: impl IntoIterator<Item = String>) -> Vmm {
        self.start_at(command, arguments, None)
    }

    fn start_at(
        &self,
        command: &str,
        arguments: impl IntoIterator<Item = String>,
        terminal: Option<&Terminal>,
    ) -> Vmm {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let arguments: Vec<_> = std::iter::once(command.to_owned()).chain(arguments).collect();
        let api = self.file(&format!("api{number}.sock"));
        Vmm::start(&format!("{command} {number}"), &arguments, api, terminal)
    }
}

/// A path of ours as text.
///
/// # Panics
/// Where the folder for temporary files is no text.
#[must_use]
pub fn text(path: &Path) -> String {
    path.to_str().unwrap_or_else(|| panic!("{} is no text", path.display())).to_owned()
}
