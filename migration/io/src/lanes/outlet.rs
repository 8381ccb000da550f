//! Where a lane's bytes leave it: at the pace of the cap straight into the socket, or by way of a buffer.

use std::{io, sync::Arc};

use godwit_migration::wire::Backlog;

use super::{pace::Pace, two_marks::TwoMarks};
use crate::{send_buffer::SendBuffer, socket::Blocking};

/// The way out of one lane.
pub(super) enum Outlet {
    Straight(PacedSocket),
    Buffered(TwoMarks<PacedSocket>),
}

impl Outlet {
    /// A way for one of `lanes` lanes into `socket`, through a buffer where one is wanted.
    pub(super) fn new(
        socket: Blocking,
        pace: Arc<Pace>,
        lanes: u8,
        buffer: Option<SendBuffer>,
    ) -> io::Result<Self> {
        let socket = PacedSocket { socket, pace, lanes };
        Ok(match buffer {
            None => Self::Straight(socket),
            Some(marks) => Self::Buffered(TwoMarks::start(socket, marks)?),
        })
    }

    /// Sends `bytes`, or takes them over, and says how the way out stands then.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<Backlog> {
        match self {
            Self::Straight(socket) => socket.put(bytes),
            Self::Buffered(buffer) => buffer.put(bytes),
        }
    }

    /// Returns when everything is in the socket.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Straight(_) => Ok(()),
            Self::Buffered(buffer) => buffer.flush(),
        }
    }
}

/// Something that bytes go into, as a whole or with an error.
pub(super) trait Sink: Send + 'static {
    /// Puts all of `bytes` in, and says how it stands then.
    fn put(&mut self, bytes: &[u8]) -> io::Result<Backlog>;
}

/// A socket that is written to no faster than the cap allows.
pub(super) struct PacedSocket {
    socket: Blocking,
    pace: Arc<Pace>,
    lanes: u8,
}

impl Sink for PacedSocket {
    fn put(&mut self, bytes: &[u8]) -> io::Result<Backlog> {
        let before = self.socket.queued();
        self.pace.write_all(&mut self.socket, bytes)?;
        Ok(Backlog {
            queued: self.socket.queued(),
            before,
            peer_was_full: self.socket.peer_was_full(),
            cap: self.pace.allowance(self.lanes),
        })
    }
}
