//! TCP and Unix sockets behind one type: dialled asynchronously, then read and written either way, as they are.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr},
    os::fd::AsFd,
    pin::Pin,
    sync::atomic::AtomicU8,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::{TcpSocket, TcpStream, UnixStream},
};

use crate::{
    address::Address,
    marks::Marks,
    protection,
    sys::{self, peek},
};

/// How long a connection may take to come up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long somebody who is turned away may go on talking before the connection is closed, which would throw away what
/// it has not read yet.
pub(crate) const PARTING: Duration = Duration::from_secs(1);
/// How much it may say.
const PARTING_BYTES: u64 = 1 << 20;

/// A connected socket, in tokio's hands.
pub(crate) enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Raw {
    /// Connects to `address`, with packets marked so where they are IP's, and nowhere but on this host where `local`.
    pub(crate) async fn dial(address: &Address, marks: &Marks, local: bool) -> io::Result<Self> {
        let dial = async {
            Ok(match address {
                Address::Tcp(host) => {
                    let stream = connect(host, marks, local).await?;
                    // A small message must never wait for an acknowledgement: that alone can cost 40 ms of downtime.
                    stream.set_nodelay(true)?;
                    Self::Tcp(stream)
                }
                Address::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            })
        };
        tokio::time::timeout(DIAL_TIMEOUT, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The first byte that comes, without taking it; nothing where the peer says no more.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        loop {
            let found = match self {
                Self::Tcp(s) => {
                    s.readable().await?;
                    s.try_io(Interest::READABLE, || peek(s.as_fd()))
                }
                Self::Unix(s) => {
                    s.readable().await?;
                    s.try_io(Interest::READABLE, || peek(s.as_fd()))
                }
            };
            match found {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                found => return found,
            }
        }
    }

    /// Ends the connection with somebody who was turned away, in a way that lets it read what it was told.
    pub(crate) async fn part(mut self) {
        let leave = async {
            self.shutdown().await?;
            tokio::io::copy(&mut (&mut self).take(PARTING_BYTES), &mut tokio::io::sink()).await
        };
        // Whether it hears is its own affair.
        let _ = tokio::time::timeout(PARTING, leave).await;
    }

    /// The same socket for a thread that blocks, for at most `patience` a call.
    pub(crate) fn into_blocking(self, patience: Option<Duration>) -> io::Result<RawBlocking> {
        match self {
            Self::Tcp(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(patience)?;
                Ok(RawBlocking::Tcp(stream))
            }
            Self::Unix(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(patience)?;
                Ok(RawBlocking::Unix(stream))
            }
        }
    }
}

/// Connects to the first address of `host` that answers.
async fn connect(host: &str, marks: &Marks, local: bool) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for peer in tokio::net::lookup_host(host).await? {
        if local {
            protection::stays_here(&peer)?;
        }
        let socket = match peer {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        marks.apply(&SockRef::from(&socket), &peer)?;
        match socket.connect(peer).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
impl Raw {
    /// The options of the socket, where it is TCP's.
    pub(crate) fn tcp(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Tcp(stream) => Some(SockRef::from(stream)),
            Self::Unix(_) => None,
        }
    }
}

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Raw {
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
pub(crate) enum RawBlocking {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl RawBlocking {
    /// A second handle on the same socket, to [end](Self::end) it from elsewhere.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(s) => Self::Tcp(s.try_clone()?),
            Self::Unix(s) => Self::Unix(s.try_clone()?),
        })
    }

    /// Reads into `place`, and what comes behind that into `then`.
    pub(crate) fn read_placed(&self, place: &[AtomicU8], then: &mut [u8]) -> io::Result<usize> {
        let socket = match self {
            Self::Tcp(s) => s.as_fd(),
            Self::Unix(s) => s.as_fd(),
        };
        sys::read_placed(socket, place, then)
    }

    /// Bytes that were written and have not arrived.
    pub(crate) fn queued(&self) -> u64 {
        sys::queued(match self {
            Self::Tcp(s) => s.as_fd(),
            Self::Unix(s) => s.as_fd(),
        })
    }

    /// For how long, in all, bytes waited because the peer did not read; nothing where the socket does not say.
    pub(crate) fn peer_was_full(&self) -> Duration {
        match self {
            Self::Tcp(s) => sys::peer_was_full(s.as_fd()),
            Self::Unix(_) => Duration::ZERO,
        }
    }

    /// Ends the connection; a thread that blocks on it wakes with an error. An error here means that it has ended.
    pub(crate) fn end(&self) {
        let _ = match self {
            Self::Tcp(s) => s.shutdown(Shutdown::Both),
            Self::Unix(s) => s.shutdown(Shutdown::Both),
        };
    }
}

impl Read for RawBlocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.read(buf),
            Self::Unix(s) => s.read(buf),
        }
    }
}

impl Write for RawBlocking {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.write(buf),
            Self::Unix(s) => s.write(buf),
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.write_vectored(bufs),
            Self::Unix(s) => s.write_vectored(bufs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
