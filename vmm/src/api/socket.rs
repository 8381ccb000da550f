//! The API's socket file: taken only when nobody listens there, for its owner only, gone when the process ends.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// Clients that may wait to be taken in.
const BACKLOG: i32 = 128;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("the API socket {0} is in use by another process; give another path, or end that process first")]
    InUse(PathBuf),
    /// Something that is no socket is there.
    #[error("{0} exists and is not a socket; give another path for the API socket")]
    NotASocket(PathBuf),
    /// The path cannot be used.
    #[error("cannot make the API socket {path}")]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

/// A listening socket and its file, which is removed on drop.
#[derive(Debug)]
pub struct ApiSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket that this process made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process's file under the same name is left alone.
    identity: (u64, u64),
}

impl ApiSocket {
    /// Listens at `path`, with mode 0600. The file that a dead process left there is replaced.
    ///
    /// # Errors
    /// Where somebody listens there, something else is there, or the host refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        Self::bind_for(path, None, None)
    }

    /// [`Self::bind`], for the user and group that the process is about to become. The file has its mode and owner
    /// before anybody can connect: it listens last.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn bind_for(path: &Path, uid: Option<u32>, gid: Option<u32>) -> Result<Self, SocketError> {
        let unusable = |source| SocketError::Unusable { path: path.into(), source };
        clear_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(unusable)?;
        let address = SockAddr::unix(path).map_err(unusable)?;
        socket.bind(&address).map_err(|e| match e.kind() {
            ErrorKind::AddrInUse => SocketError::InUse(path.into()),
            _ => unusable(e),
        })?;
        let made = fs::symlink_metadata(path).map_err(unusable)?;
        let file = SocketFile { path: path.into(), identity: (made.dev(), made.ino()) };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(unusable)?;
        if uid.is_some() || gid.is_some() {
            std::os::unix::fs::chown(path, uid, gid).map_err(unusable)?;
        }
        socket.listen(BACKLOG).map_err(unusable)?;
        socket.set_nonblocking(true).map_err(unusable)?;
        Ok(Self { listener: socket.into(), file })
    }

    /// The listener (non-blocking) and the guard that removes its file.
    #[must_use]
    pub fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

/// Removes the socket file of a process that is gone.
fn clear_stale(path: &Path) -> Result<(), SocketError> {
    let unusable = |source| SocketError::Unusable { path: path.into(), source };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unusable(e)),
        Ok(there) if !there.file_type().is_socket() => return Err(SocketError::NotASocket(path.into())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(unusable),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(unusable(e)),
        // Anything else, a full backlog too, means that somebody has it open.
        Ok(_) | Err(_) => Err(SocketError::InUse(path.into())),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.identity);
        if ours {
            // Best effort: a stale file is replaced by the next process that wants the name.
            let _ = fs::remove_file(&self.path);
        }
    }
}
