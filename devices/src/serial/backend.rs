//! What the outside of a serial port is: the terminal, a file, a socket, or nothing.
//!
//! It opens descriptors, and never reads or writes them. Neighbours: [`super::input`] reads, [`super::output`] writes.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use thiserror::Error;

use super::{escape::Escape, input::Input, output::Sink};
use crate::unix_listener::{self, ListenError};

/// The outside of a serial port. As text: `stdio`, `file=PATH`, `socket=PATH`, `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SerialBackend {
    /// Standard input and output. On a terminal, Ctrl-A x quits, and Ctrl-A Ctrl-A sends one Ctrl-A to the guest.
    Stdio,
    /// Output is appended to this file, which is created if missing; no input.
    File(PathBuf),
    /// A Unix socket at this path serves one client after another; the next waits until the last has gone.
    Socket(PathBuf),
    /// Output is dropped, no input.
    Null,
}

/// A back end that is not one of the four.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("'{0}' is no serial back end; use stdio, file=PATH, socket=PATH or null")]
pub struct UnknownBackend(String);

impl FromStr for SerialBackend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        match text.split_once('=') {
            None if text == "stdio" => Ok(Self::Stdio),
            None if text == "null" => Ok(Self::Null),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("socket", path)) if !path.is_empty() => Ok(Self::Socket(path.into())),
            _ => Err(UnknownBackend(text.into())),
        }
    }
}

/// Why a serial port, or a port of a console device, could not be made.
#[derive(Debug, Error)]
pub enum SerialError {
    /// The output file cannot be opened.
    #[error("console file {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What open(2) said.
        source: io::Error,
    },
    /// Someone listens at the socket's path already, or it is no socket.
    #[error("console socket {path} is in use; choose another path or end the process that listens there", path = path.display())]
    SocketInUse {
        /// The path.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("console socket {path}: {source}", path = path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard input or output cannot be used.
    #[error("standard input and output cannot be used for a console: {0}; is one of them closed?")]
    Stdio(io::Error),
    /// No event descriptor or thread for the port.
    #[error("a console cannot be set up: {0}")]
    Setup(io::Error),
}

impl SerialBackend {
    /// Opens both directions.
    pub(crate) fn open(&self) -> Result<(Input, Option<Sink>), SerialError> {
        match self {
            Self::Null => Ok((Input::None, Some(Sink::Null))),
            Self::Stdio => open_stdio().map_err(SerialError::Stdio),
            Self::File(path) => {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                let file = opened.map_err(|source| SerialError::File { path: path.clone(), source })?;
                Ok((Input::None, Some(Sink::File(Arc::new(file)))))
            }
            Self::Socket(path) => Ok((Input::listen(listen(path)?, path.clone()), None)),
        }
    }
}

fn open_stdio() -> io::Result<(Input, Option<Sink>)> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    // Without a terminal nobody types: a pipe's bytes all go to the guest.
    let escape = stdin.is_terminal().then(Escape::default);
    let output = duplicate(stdout.as_fd())?;
    Ok((Input::stream(duplicate(stdin.as_fd())?, escape), Some(Sink::File(Arc::new(output)))))
}

/// A descriptor of our own, past the buffering of the standard library's handles.
fn duplicate(fd: BorrowedFd<'_>) -> io::Result<File> {
    Ok(fd.try_clone_to_owned()?.into())
}

fn listen(path: &Path) -> Result<UnixListener, SerialError> {
    unix_listener::listen(path).map_err(|error| match error {
        ListenError::InUse => SerialError::SocketInUse { path: path.into() },
        ListenError::Host(source) => SerialError::Socket { path: path.into(), source },
    })
}
