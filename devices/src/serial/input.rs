//! Where a serial port's input comes from, and which descriptor to watch for it.
//!
//! It reads when it is told that there is something and how much the guest has room for. It never waits, and never
//! decides when to watch: [`super`] does.

use std::{
    fs::File,
    io::{self, Read},
    net::Shutdown,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    sync::Arc,
};

use super::escape::{Escape, Key};

/// The source of input.
pub enum Input {
    /// None, or none any more.
    None,
    /// A terminal, a pipe or a file.
    Stream {
        /// The open file.
        file: File,
        /// The escape keys, on a terminal.
        escape: Option<Escape>,
    },
    /// A socket with at most one client.
    Socket(Socket),
}

/// A listening socket, which goes with the port, and its client.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    client: Option<Arc<UnixStream>>,
}

/// What came in.
#[derive(Debug, Default)]
pub struct Received {
    /// For the guest; no more than was asked for.
    pub bytes: Vec<u8>,
    /// The user typed the quit keys.
    pub quit: bool,
    /// There will be no more from this stream or client.
    pub ended: bool,
}

impl Input {
    /// Input from an open file.
    pub fn stream(file: File, escape: Option<Escape>) -> Self {
        Self::Stream { file, escape }
    }

    /// Input from the clients of a non-blocking listener bound to `path`.
    pub fn listen(listener: UnixListener, path: PathBuf) -> Self {
        Self::Socket(Socket { listener, path, client: None })
    }

    /// The descriptor that says there is something to do: data, or a client knocking.
    pub fn fd(&self) -> Option<RawFd> {
        match self {
            Self::None => None,
            Self::Stream { file, .. } => Some(file.as_raw_fd()),
            Self::Socket(Socket { client: Some(client), .. }) => Some(client.as_raw_fd()),
            Self::Socket(Socket { listener, .. }) => Some(listener.as_raw_fd()),
        }
    }

    /// Whether this is a socket without a client: then the descriptor is the listener's.
    pub fn awaits_client(&self) -> bool {
        matches!(self, Self::Socket(Socket { client: None, .. }))
    }

    /// Whether this is a socket with a client.
    pub fn has_client(&self) -> bool {
        matches!(self, Self::Socket(Socket { client: Some(_), .. }))
    }

    /// Lets the client that knocks in; `None` when this is no socket, when one is in already, or when it left again.
    pub fn accept(&mut self) -> Option<Arc<UnixStream>> {
        let Self::Socket(socket @ Socket { client: None, .. }) = self else { return None };
        let (client, _) = socket.listener.accept().ok()?;
        socket.client = Some(Arc::new(client));
        socket.client.clone()
    }

    /// Reads at most `room` bytes. Blocks unless the descriptor is readable.
    pub fn read(&mut self, room: usize) -> Received {
        let mut bytes = vec![0; room];
        let (read, escape) = match self {
            Self::None => return Received { ended: true, ..Received::default() },
            Self::Stream { file, escape } => (file.read(&mut bytes), escape.as_mut()),
            Self::Socket(Socket { client: Some(client), .. }) => (client.as_ref().read(&mut bytes), None),
            Self::Socket(_) => return Received::default(),
        };
        match read {
            Ok(0) => Received { ended: true, ..Received::default() },
            Ok(len) => {
                bytes.truncate(len);
                unescape(bytes, escape)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Received::default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::default(),
            // A terminal or client that went away: as good as its end.
            Err(_) => Received { ended: true, ..Received::default() },
        }
    }

    /// Lets go of the stream or client that has ended; a socket can then take the next client.
    pub fn hang_up(&mut self) {
        match self {
            Self::Socket(socket) => socket.hang_up(),
            _ => *self = Self::None,
        }
    }
}

impl Socket {
    fn hang_up(&mut self) {
        if let Some(client) = self.client.take() {
            // The output thread may sit in a write to it; this ends that. An error means that it is gone already.
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.hang_up();
        // Best effort: a path that someone removed or that cannot be removed is no reason to fail at the end.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn unescape(bytes: Vec<u8>, escape: Option<&mut Escape>) -> Received {
    let Some(escape) = escape else { return Received { bytes, ..Received::default() } };
    let mut received = Received::default();
    for byte in bytes {
        match escape.key(byte) {
            Key::Send(byte) => received.bytes.push(byte),
            Key::Swallow => {}
            Key::Quit => received.quit = true,
        }
    }
    received
}
