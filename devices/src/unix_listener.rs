//! Listening on a Unix socket at a path, in the place of one that a dead process left there.

use std::{
    io,
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use thiserror::Error;

/// Why nobody can listen at a path.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Someone listens there already, or it is no socket.
    #[error("is in use; choose another path or end the process that listens there")]
    InUse,
    /// The socket cannot be made.
    #[error("cannot be made: {0}")]
    Host(#[from] io::Error),
}

/// Listens at `path` without ever waiting for a client.
///
/// # Errors
/// [`ListenError`].
pub fn listen(path: &Path) -> Result<UnixListener, ListenError> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !is_stale(path) {
                return Err(ListenError::InUse);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether `path` is a socket on which nobody listens.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}
