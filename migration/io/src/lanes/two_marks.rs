//! A send buffer with two marks (Takantapeh 2019): below the low mark it collects, above it a thread of its own drains
//! it while the lane goes on, above the high mark the lane waits for the drain.
//!
//! The paper leaves open where a synchronous drain ends: here the lane goes on once the fill is below the high mark
//! again, because waiting for less would leave the link with nothing to do while the lane reads the next pages. A drain
//! that has begun goes on until the buffer is empty. The end of a round drains it whatever the fill: what a lane says
//! it has sent is in the socket.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use godwit_migration::wire::Backlog;

use super::{STACK_BYTES, outlet::Sink, start};
use crate::send_buffer::SendBuffer;

/// The lane's end of the buffer. Dropping it ends the drain, with what is left unsent.
pub(super) struct TwoMarks<S> {
    shared: Arc<Shared>,
    marks: SendBuffer,
    thread: Option<JoinHandle<S>>,
}

#[derive(Default)]
struct Shared {
    fill: Mutex<Fill>,
    /// Something changed for the drain.
    wanted: Condvar,
    /// Something changed for the lane.
    drained: Condvar,
}

#[derive(Default)]
struct Fill {
    chunks: VecDeque<Vec<u8>>,
    /// Chunks that have been drained, to be filled again.
    spare: Vec<Vec<u8>>,
    /// Bytes not yet in the socket, those that are being written included.
    bytes: usize,
    draining: bool,
    over: bool,
    error: Option<io::Error>,
}

impl<S: Sink> TwoMarks<S> {
    /// Starts the thread that drains into `sink`.
    pub(super) fn start(sink: S, marks: SendBuffer) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let drain = shared.clone();
        let thread =
            std::thread::Builder::new().name("drain".into()).stack_size(STACK_BYTES).spawn(move || {
                start::begin();
                drain.run(sink)
            })?;
        Ok(Self { shared, marks, thread: Some(thread) })
    }
}

impl<S> TwoMarks<S> {
    /// Takes a copy of `bytes`; waits while the buffer is above its high mark, or has no room for them.
    ///
    /// What the buffer holds is the backlog; a cap is waited for behind it, and holds nobody up here.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<Backlog> {
        let before = self.shared.fill().bytes as u64;
        let (size, low, high) = (self.marks.bytes(), self.marks.low_bytes(), self.marks.high_bytes());
        for piece in bytes.chunks(size) {
            let mut fill = self.shared.until(|fill| fill.bytes + piece.len() <= size || !fill.draining)?;
            // A piece that does not fit, with the drain at rest below the low mark, sets it going.
            if fill.bytes + piece.len() > size {
                self.shared.drain(&mut fill);
                drop(fill);
                fill = self.shared.until(|fill| fill.bytes + piece.len() <= size)?;
            }
            let mut chunk = fill.spare.pop().unwrap_or_default();
            chunk.extend_from_slice(piece);
            fill.bytes += chunk.len();
            fill.chunks.push_back(chunk);
            if fill.bytes > low {
                self.shared.drain(&mut fill);
            }
            drop(fill);
            drop(self.shared.until(|fill| fill.bytes <= high)?);
        }
        Ok(Backlog { queued: self.shared.fill().bytes as u64, before, ..Backlog::default() })
    }

    /// Drains to the last byte.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut fill = self.shared.fill();
        if fill.bytes > 0 {
            self.shared.drain(&mut fill);
        }
        drop(fill);
        self.shared.until(|fill| fill.bytes == 0).map(drop)
    }
}

impl<S> Drop for TwoMarks<S> {
    fn drop(&mut self) {
        self.shared.fill().over = true;
        self.shared.wanted.notify_one();
        // The drain never panics; if it did, its end is all that is wanted here.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    /// Writes chunk by chunk whenever there is a drain, until it is over or the sink fails.
    fn run<S: Sink>(&self, mut sink: S) -> S {
        loop {
            let mut fill = self.fill();
            while !(fill.over || fill.draining) {
                fill = self.wanted.wait(fill).unwrap_or_else(PoisonError::into_inner);
            }
            if fill.over {
                return sink;
            }
            let Some(mut chunk) = fill.chunks.pop_front() else {
                fill.draining = false;
                continue;
            };
            drop(fill);
            let put = sink.put(&chunk);
            let mut fill = self.fill();
            fill.bytes -= chunk.len();
            fill.draining = !fill.chunks.is_empty();
            chunk.clear();
            fill.spare.push(chunk);
            if let Err(error) = put {
                fill.error = Some(error);
                fill.over = true;
            }
            drop(fill);
            self.drained.notify_one();
        }
    }

    /// Sets the drain going.
    fn drain(&self, fill: &mut Fill) {
        if !fill.draining {
            fill.draining = true;
            self.wanted.notify_one();
        }
    }

    /// Waits until `ready`, or the sink has failed.
    fn until(&self, ready: impl Fn(&Fill) -> bool) -> io::Result<MutexGuard<'_, Fill>> {
        let mut fill = self.fill();
        loop {
            if let Some(error) = fill.error.take() {
                // Told once; a lane that goes on all the same hears that it is over.
                return Err(error);
            }
            if fill.over {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if ready(&fill) {
                return Ok(fill);
            }
            fill = self.drained.wait(fill).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Every step leaves the fill whole, so a thread that died holding it did no harm.
    fn fill(&self) -> MutexGuard<'_, Fill> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
