//! TCP and Unix sockets behind one type: dialled and accepted asynchronously, then read and written either way.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use crate::address::Address;

/// How long a connection may take to come up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// A connected socket, in tokio's hands.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Connects to `address`.
    pub(crate) async fn dial(address: &Address) -> io::Result<Self> {
        let dial = async {
            Ok(match address {
                Address::Tcp(host) => {
                    let stream = TcpStream::connect(host.as_str()).await?;
                    // A small message must never wait for an acknowledgement: that alone can cost 40 ms of downtime.
                    stream.set_nodelay(true)?;
                    Self::Tcp(stream)
                }
                Address::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            })
        };
        tokio::time::timeout(DIAL_TIMEOUT, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The same socket for a thread that blocks, for at most `patience` a call.
    pub(crate) fn into_blocking(self, patience: Option<Duration>) -> io::Result<Blocking> {
        match self {
            Self::Tcp(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(patience)?;
                Ok(Blocking::Tcp(stream))
            }
            Self::Unix(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(patience)?;
                Ok(Blocking::Unix(stream))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_flush(cx),
            Self::Unix(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

/// A connected socket whose calls block.
pub(crate) enum Blocking {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Blocking {
    /// A second handle on the same socket, to [end](Self::end) it from elsewhere.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(s) => Self::Tcp(s.try_clone()?),
            Self::Unix(s) => Self::Unix(s.try_clone()?),
        })
    }

    /// Ends the connection; a thread that blocks on it wakes with an error. An error here means that it has ended.
    pub(crate) fn end(&self) {
        let _ = match self {
            Self::Tcp(s) => s.shutdown(Shutdown::Both),
            Self::Unix(s) => s.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Blocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.read(buf),
            Self::Unix(s) => s.read(buf),
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.write(buf),
            Self::Unix(s) => s.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where sources connect. A Unix socket's file is removed when the listener goes.
pub struct Listener {
    kind: Kind,
    address: Address,
    /// Held for its `Drop`.
    _file: Option<SocketFile>,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens at `address`; port 0 takes a free one. Inside a tokio runtime only.
    ///
    /// # Errors
    /// The address is in use, or not ours; a file that is no socket, or a socket on which somebody listens, is in the
    /// way. A socket file that a dead process left is replaced.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(host) => {
                let listener = TcpListener::bind(host.as_str()).await?;
                let address = Address::Tcp(listener.local_addr()?.to_string());
                Ok(Self { kind: Kind::Tcp(listener), address, _file: None })
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                Ok(Self {
                    kind: Kind::Unix(listener),
                    address: address.clone(),
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

    /// The next connection, and who it is from.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, String)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Socket::Tcp(stream), format!("tcp:{from}")))
            }
            Kind::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), self.address.to_string()))
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
