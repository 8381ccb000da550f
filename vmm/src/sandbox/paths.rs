//! The files that a VMM process may still open, by landlock: the one table of its paths.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};

use crate::{DeviceSet, SerialConfig, api::VmConfig, boot::Kernel};

/// The newest kernel interface that the rules were written for; an older kernel enforces what it knows.
const INTERFACE: ABI = ABI::V3;

/// Read by the C library to find addresses of hosts. A file of `/etc` that another takes the place of cannot be read
/// again; those folders are where such files usually point.
const NAMES: &[&str] = &[
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
];
/// Read by the C library to load its name services, by the runtime (number of cores) and by the engine (page map).
const SYSTEM: &[&str] = &["/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/proc", "/sys"];
/// Read and written.
const DEVICES: &[&str] = &["/dev/kvm", "/dev/null", "/dev/tty", "/dev/urandom"];

/// What the command line names.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Read only: kernel, initial RAM disk.
    pub read: Vec<PathBuf>,
    /// Written to, and made where missing: a console's file.
    pub write: Vec<PathBuf>,
    /// Sockets, made and removed.
    pub sockets: Vec<PathBuf>,
    /// Folders whose files are read, and where sockets are made and removed: what requests of the API may name.
    pub requests: Vec<PathBuf>,
    /// Folders whose files are made, written, renamed and removed.
    pub folders: Vec<PathBuf>,
    /// Files, and folders whose files and sockets, that requests of the API may have read, written and made.
    pub granted: Vec<PathBuf>,
}

impl Paths {
    /// What a machine made of `config` opens.
    #[must_use]
    pub fn of(config: &VmConfig) -> Self {
        let mut paths = Self::default();
        if let Some(Kernel::File(kernel)) = &config.payload.kernel {
            paths.read.push(kernel.clone());
        }
        paths.read.extend(config.payload.initramfs.clone());
        paths.of_console(&config.serial);
        paths.of_devices(&config.devices);
        paths
    }

    /// Adds what a console opens.
    pub fn of_console(&mut self, serial: &SerialConfig) {
        match serial {
            SerialConfig::File(path) => self.write.push(path.clone()),
            SerialConfig::Socket(path) => self.sockets.push(path.clone()),
            SerialConfig::Stdio | SerialConfig::Null => {}
        }
    }

    /// Adds what `devices` open, now or when a guest arrives.
    pub fn of_devices(&mut self, devices: &DeviceSet) {
        for disk in &devices.disks {
            let list = if disk.readonly { &mut self.read } else { &mut self.write };
            list.push(disk.path.clone());
        }
        if !devices.net.is_empty() {
            self.write.push(TAPS.into());
        }
        for port in devices.ports() {
            self.write.extend(port.file.clone());
            self.sockets.extend(port.socket.clone());
        }
        // Those that a guest connects to are beside it, and not made here.
        self.sockets.extend(devices.vsock.iter().map(|vsock| vsock.socket.clone()));
    }
}

/// Where taps are made.
const TAPS: &str = "/dev/net/tun";

/// Leaves the calling thread, and those that it makes, with these files. Tells how far the kernel went.
pub(super) fn confine(paths: &Paths) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::from_read(INTERFACE) & !AccessFs::Execute;
    let write = read | AccessFs::WriteFile | AccessFs::Truncate;
    let make_sockets = AccessFs::MakeSock | AccessFs::RemoveFile | AccessFs::ReadDir;
    // Nothing is executed, so that nothing may be.
    let keep = AccessFs::from_all(INTERFACE) & !AccessFs::Execute;
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(INTERFACE))?.create()?;
    rules = rules
        .add_rules(path_beneath_rules(NAMES, read))?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(DEVICES, write))?
        .add_rules(path_beneath_rules(&paths.read, read))?
        .add_rules(path_beneath_rules(&paths.write, write))?
        .add_rules(path_beneath_rules(&paths.requests, read | make_sockets))?
        .add_rules(path_beneath_rules(&paths.folders, keep))?
        .add_rules(path_beneath_rules(&paths.granted, write | make_sockets | AccessFs::MakeReg))?
        .add_rules(path_beneath_rules(paths.sockets.iter().map(|p| folder_of(p)), make_sockets))?;
    // A file that is not there yet is made in its folder, and only such a folder may have files made in it.
    for missing in paths.write.iter().filter(|path| !path.exists()) {
        let access: BitFlags<AccessFs> = AccessFs::MakeReg | AccessFs::WriteFile;
        // A folder that is missing, too, is told by whoever opens the file.
        if let Ok(folder) = PathFd::new(folder_of(missing)) {
            rules = rules.add_rule(PathBeneath::new(folder, access))?;
        }
    }
    let status = rules.restrict_self()?.ruleset;
    CONFINED.store(status != RulesetStatus::NotEnforced, Relaxed);
    Ok(status)
}

/// Set once files have been given up.
static CONFINED: AtomicBool = AtomicBool::new(false);

/// Whether this process has given files up.
pub(super) fn are_confined() -> bool {
    CONFINED.load(Relaxed)
}

/// Whether a file that cannot be read may be one that this process has given up.
pub(super) fn given_up(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    are_confined() && File::open(path).is_err_and(refused)
}

/// The folder that a path is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
