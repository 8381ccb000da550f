//! What a VMM process gives up before it has a guest: privileges, limits, files, system calls.
//!
//! Order matters: user and limits, then paths (landlock), then calls (seccomp), all on the first thread before it
//! makes another, so that every thread begins confined. Neighbours: `role` is the table of calls, `paths` that of
//! files; the threads of vCPUs, events and lanes narrow themselves by [`enter_or_panic`].

mod allowed;
#[cfg(test)]
mod allowed_test;
mod paths;
mod role;
#[cfg(test)]
mod sandbox_test;
mod search;
#[cfg(test)]
mod search_test;
mod seccomp;
mod sys;

use std::{
    io,
    path::{Path, PathBuf},
};

use landlock::RulesetStatus;

pub use allowed::Allowed;
pub use paths::Paths;
pub use role::{ROLES, Role};
pub(crate) use seccomp::enter_or_panic;

/// Exit status after a thread made a system call outside its role's list.
pub const EXIT_SANDBOX: u8 = 74;
/// Most open descriptors: the most lanes, API clients and devices that there can be need a fraction of it.
const MAX_DESCRIPTORS: u64 = 4096;

/// How much of the sandbox there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All of it.
    #[default]
    On,
    /// A system call outside the list is told in the kernel's log, and goes on.
    Log,
    /// Neither calls nor files are confined.
    Off,
}

/// What the user chose.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    /// How much of it.
    pub mode: Mode,
    /// The user to become.
    pub uid: Option<u32>,
    /// The group to become; supplementary groups are given up with either.
    pub gid: Option<u32>,
    /// Whether a core dump may be written, with the guest's memory in it.
    pub dump_guest_memory: bool,
    /// Folders that requests of the API may name: certificates are read there, sockets made.
    pub api_dirs: Vec<PathBuf>,
}

/// Why the process cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The user or group cannot be had.
    #[error("cannot become user {} and group {}: only root may choose", or_same(*.uid), or_same(*.gid))]
    User {
        /// The user asked for.
        uid: Option<u32>,
        /// The group asked for.
        gid: Option<u32>,
        /// What the host said.
        source: io::Error,
    },
    /// A limit or `no_new_privs`.
    #[error("cannot lower what this process may do")]
    Limit(#[source] io::Error),
    /// The handler of refused calls.
    #[error("cannot catch system calls that the sandbox refuses")]
    Handler(#[source] io::Error),
    /// The kernel takes no filter.
    #[error("this kernel takes no seccomp filter for the role '{role}': {why}; --sandbox off runs without")]
    Filter {
        /// The role.
        role: &'static str,
        /// What was said.
        why: String,
    },
}

/// What to do about a file of `folder` that a request named and that cannot be read, where the sandbox may be why.
pub(crate) fn advice_on(path: &Path, folder: &Path) -> String {
    if !paths::given_up(path) {
        return String::new();
    }
    format!(
        "; this process is confined, and reads the files of requests in folders that it was started for: start it with \
         --api-dir {}, or hand over what the files hold, as godwit migrate --tls does",
        folder.display()
    )
}

/// What to do about a socket that a request named and that cannot be made, where the sandbox may be why.
pub(crate) fn advice_on_socket(path: &Path) -> String {
    if !paths::are_confined() {
        return String::new();
    }
    let folder = paths::folder_of(path).display();
    format!(
        "; this process is confined, and makes sockets beside its API's and in folders that it was started for: start it \
         with --api-dir {folder}"
    )
}

fn or_same(id: Option<u32>) -> String {
    id.map_or_else(|| "as before".into(), |id| id.to_string())
}

impl Sandbox {
    /// Confines the calling thread, which must be the process's only one, to `paths` and [`Role::Control`].
    ///
    /// # Errors
    /// Where the kernel refuses what must be. Landlock need not be: a kernel without it is told in a warning.
    pub fn enter(&self, paths: &Paths) -> Result<(), SandboxError> {
        let Self { mode, uid, gid, dump_guest_memory, .. } = *self;
        sys::become_user(uid, gid).map_err(|source| SandboxError::User { uid, gid, source })?;
        sys::no_new_privileges().map_err(SandboxError::Limit)?;
        if dump_guest_memory {
            crate::memory::keep_in_dumps();
        } else {
            sys::limit(libc::RLIMIT_CORE, 0).map_err(SandboxError::Limit)?;
        }
        if mode == Mode::Off {
            tracing::info!("sandbox: off");
            return Ok(());
        }
        sys::settle_allocator();
        sys::limit(libc::RLIMIT_NOFILE, MAX_DESCRIPTORS).map_err(SandboxError::Limit)?;
        match paths::confine(paths) {
            Ok(RulesetStatus::FullyEnforced) => tracing::info!("sandbox: files are confined"),
            Ok(RulesetStatus::PartiallyEnforced) => {
                tracing::info!("sandbox: files are confined as far as this kernel's landlock goes");
            }
            Ok(RulesetStatus::NotEnforced) => {
                tracing::warn!("sandbox: this kernel has no landlock; files are not confined");
            }
            Err(error) => tracing::warn!("sandbox: files are not confined: {error}"),
        }
        if mode == Mode::On {
            sys::no_backtraces();
        }
        seccomp::begin(mode == Mode::Log)?;
        godwit_transport::on_lane_start(|| enter_or_panic(Role::Lane));
        tracing::info!("sandbox: system calls are confined by role");
        Ok(())
    }
}
