//! Where sources connect.

use std::{
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, UnixListener};

use super::Raw;
use crate::{
    address::Address,
    protection::{self, Protection},
    tls::TargetTls,
};

/// Where sources connect. A Unix socket's file is removed when the listener goes.
pub struct Listener {
    kind: Kind,
    address: Address,
    protection: Protection<TargetTls>,
    /// Held for its `Drop`.
    _file: Option<SocketFile>,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens at `address` for connections in clear, which come from this host only; port 0 takes a free one. Inside a
    /// tokio runtime only.
    ///
    /// # Errors
    /// As of [`protected`](Self::protected).
    pub async fn bind(address: &Address) -> io::Result<Self> {
        Self::protected(address, Protection::Local).await
    }

    /// Listens at `address` for connections that are so protected.
    ///
    /// # Errors
    /// The address is in use, or not ours; in clear it would be seen by others; a file that is no socket, or a socket
    /// on which somebody listens, is in the way. A socket file that a dead process left is replaced.
    pub async fn protected(address: &Address, protection: Protection<TargetTls>) -> io::Result<Self> {
        match address {
            Address::Tcp(host) => {
                if protection.is_local() {
                    tokio::net::lookup_host(host.as_str())
                        .await?
                        .try_for_each(|own| protection::stays_here(&own))?;
                }
                let listener = TcpListener::bind(host.as_str()).await?;
                let address = Address::Tcp(listener.local_addr()?.to_string());
                Ok(Self { kind: Kind::Tcp(listener), address, protection, _file: None })
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                Ok(Self {
                    kind: Kind::Unix(listener),
                    address: address.clone(),
                    protection,
                    _file: Some(SocketFile(path.clone())),
                })
            }
        }
    }

    /// Where it listens: with the port that was taken.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How those are protected who connect.
    pub(crate) fn protection(&self) -> &Protection<TargetTls> {
        &self.protection
    }

    /// The next connection, and who it is from.
    pub(crate) async fn accept(&self) -> io::Result<(Raw, String)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Raw::Tcp(stream), format!("tcp:{from}")))
            }
            Kind::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Raw::Unix(stream), self.address.to_string()))
            }
        }
    }
}

/// The file of a Unix socket, removed on drop.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes way for a new socket where a dead process left one.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket has this name"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on this socket")),
    }
}
