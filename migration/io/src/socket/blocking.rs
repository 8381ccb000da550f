//! A connection for a thread that does nothing else.

use std::{
    io::{self, IoSlice, Read, Write},
    sync::atomic::AtomicU8,
    time::Duration,
};

use super::RawBlocking;
use crate::tls::Session;

/// Most plain bytes that are sealed before they are written: a lane's buffer, and a part of the L2 cache.
const MOST_SEALED: usize = 128 << 10;

/// A connected socket whose calls block.
pub struct Blocking {
    raw: RawBlocking,
    session: Option<Box<Session>>,
    records: Vec<Vec<u8>>,
}

impl Blocking {
    pub(super) fn new(raw: RawBlocking, session: Option<Session>) -> Self {
        Self { raw, session: session.map(Box::new), records: vec![] }
    }

    /// A second handle on the same socket, to [end](RawBlocking::end) it from elsewhere.
    pub(crate) fn ender(&self) -> io::Result<RawBlocking> {
        self.raw.try_clone()
    }

    /// Whether what comes can be [placed](Self::read_placed): by TLS it must be opened first.
    pub(crate) fn places(&self) -> bool {
        self.session.is_none()
    }

    /// Reads into `place`, and what comes behind that into `then`.
    pub(crate) fn read_placed(&mut self, place: &[AtomicU8], then: &mut [u8]) -> io::Result<usize> {
        self.raw.read_placed(place, then)
    }

    /// Bytes that were written and have not arrived.
    pub(crate) fn queued(&self) -> u64 {
        self.raw.queued()
    }

    /// For how long, in all, bytes waited because the peer did not read; nothing where the socket does not say.
    pub(crate) fn peer_was_full(&self) -> Duration {
        self.raw.peer_was_full()
    }
}

impl Read for Blocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.raw.read(buf) };
        loop {
            if let Some(taken) = session.opener.take(buf)? {
                return Ok(taken);
            }
            match self.raw.read(session.opener.space())? {
                0 => return session.opener.ended().map(|()| 0),
                bytes => session.opener.came(bytes),
            }
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.raw.write(buf) };
        let taken = buf.len().min(MOST_SEALED);
        self.records.clear();
        session.sealer.seal(&buf[..taken], &mut self.records)?;
        write_all(&mut self.raw, &self.records)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the records in as few calls as there can be.
fn write_all(to: &mut RawBlocking, records: &[Vec<u8>]) -> io::Result<()> {
    let mut slices: Vec<_> = records.iter().map(|record| IoSlice::new(record)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match to.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(bytes) => IoSlice::advance_slices(&mut rest, bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
