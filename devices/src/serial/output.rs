//! The way of a byte from the guest to the console, which never makes a vCPU wait.
//!
//! A vCPU puts bytes into a bounded buffer; a thread of its own writes them out, in as large pieces as have gathered:
//! a guest writes its console byte by byte, and a thread that is woken for each costs more than the byte's way here. So
//! it is woken by the first byte, gathers for [`GATHER`] or until the end of a line, and writes.
//! When the reader is slower than the guest, or there is none, the oldest bytes are dropped, so that a reader who
//! comes back sees the latest [`BUFFER_BYTES`]. A blocking thread, because a terminal shares its non-blocking flag
//! with every process that has it open. Neighbour: [`super`] opens the sinks.

#[cfg(test)]
mod output_test;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Most bytes kept for a reader that is slow or absent.
pub const BUFFER_BYTES: usize = 64 << 10;
/// Most bytes in one write.
const BATCH_BYTES: usize = 4 << 10;
/// How long what follows a first byte is gathered: about what a UART's FIFO takes to drain at 115,200 baud.
const GATHER: Duration = Duration::from_millis(2);
/// What ends a line.
const LINE_END: u8 = b'\n';
const STACK_BYTES: usize = 64 << 10;

/// Where the bytes end up.
#[derive(Clone)]
pub enum Sink {
    /// A file, a pipe or a terminal.
    File(Arc<File>),
    /// The connected client of a socket.
    Client(Arc<UnixStream>),
    /// Nowhere.
    Null,
}

impl Sink {
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.as_ref().write_all(bytes),
            Self::Client(client) => client.as_ref().write_all(bytes),
            Self::Null => Ok(()),
        }
    }
}

#[derive(Default)]
struct Pending {
    bytes: VecDeque<u8>,
    sink: Option<Sink>,
    /// The thread has taken bytes that are not written yet.
    writing: bool,
    thread: Waits,
    closed: bool,
}

/// What the thread waits for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Waits {
    /// For nothing: it is at work.
    #[default]
    No,
    /// For any byte.
    Byte,
    /// For the end of a line, or for the gathering's time to be over.
    LineEnd,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// There is something to do for the thread.
    work: Condvar,
    /// Everything was written, or nothing will be.
    drained: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guest's end of the way. Clones feed the same console.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

impl Output {
    /// Starts the thread that writes to `sink`; without one, bytes wait in the buffer for [`Output::connect`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(sink: Option<Sink>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.lock().sink = sink;
        let thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("serial-out".into())
            .stack_size(STACK_BYTES)
            .spawn(move || write_out(&thread))?;
        Ok(Self(shared))
    }

    /// From now on, writes to `sink`, beginning with what the buffer holds. `None`: keeps bytes in the buffer.
    pub fn connect(&self, sink: Option<Sink>) {
        self.0.lock().sink = sink;
        self.0.work.notify_one();
        self.0.drained.notify_all();
    }

    /// Takes bytes of the guest. Never blocks on the console.
    pub fn push(&self, bytes: &[u8]) {
        let mut pending = self.0.lock();
        let bytes = &bytes[bytes.len().saturating_sub(BUFFER_BYTES)..];
        let over = (pending.bytes.len() + bytes.len()).saturating_sub(BUFFER_BYTES);
        pending.bytes.drain(..over);
        pending.bytes.extend(bytes);
        let wake = match pending.thread {
            Waits::No => false,
            Waits::Byte => !bytes.is_empty(),
            Waits::LineEnd => bytes.contains(&LINE_END),
        };
        if wake {
            pending.thread = Waits::No;
            self.0.work.notify_one();
        }
    }

    /// Waits until everything was written, at most for `timeout`, and says whether it was. To be called before the
    /// process ends.
    pub fn flush(&self, timeout: Duration) -> bool {
        let done = |p: &Pending| p.sink.is_none() || (p.bytes.is_empty() && !p.writing);
        let waited = self.0.drained.wait_timeout_while(self.0.lock(), timeout, |pending| !done(pending));
        let (pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        pending.bytes.is_empty() && !pending.writing
    }

    /// Ends the thread once it has written what is left.
    pub fn close(&self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
    }
}

/// What the emulated UART writes to.
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    /// Nothing to do: the thread is already at it, and the guest must not wait for it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(shared: &Shared) {
    let mut batch = Vec::new();
    let mut pending = shared.lock();
    loop {
        match pending.sink.clone() {
            Some(sink) if !pending.bytes.is_empty() => {
                let len = pending.bytes.len().min(BATCH_BYTES);
                batch.clear();
                batch.extend(pending.bytes.drain(..len));
                pending.writing = true;
                drop(pending);
                let written = sink.write_all(&batch);
                pending = shared.lock();
                pending.writing = false;
                if written.is_err() {
                    // The reader is gone for good (a client may follow it): what waits stays for the next one.
                    disconnect(&mut pending, &sink);
                }
                if pending.bytes.is_empty() || pending.sink.is_none() {
                    shared.drained.notify_all();
                }
            }
            _ if pending.closed => return,
            _ => pending = gather(shared, pending),
        }
    }
}

/// Waits for the first byte and what follows it, or for another reason to look again.
fn gather<'a>(shared: &'a Shared, mut pending: MutexGuard<'a, Pending>) -> MutexGuard<'a, Pending> {
    pending.thread = Waits::Byte;
    pending = shared.work.wait(pending).unwrap_or_else(PoisonError::into_inner);
    if !pending.closed && pending.sink.is_some() && !pending.bytes.contains(&LINE_END) {
        pending.thread = Waits::LineEnd;
        let waited = shared.work.wait_timeout(pending, GATHER);
        pending = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    pending.thread = Waits::No;
    pending
}

/// Drops `failed` unless another client has taken its place meanwhile.
fn disconnect(pending: &mut Pending, failed: &Sink) {
    let same = match (&pending.sink, failed) {
        (Some(Sink::File(now)), Sink::File(then)) => Arc::ptr_eq(now, then),
        (Some(Sink::Client(now)), Sink::Client(then)) => Arc::ptr_eq(now, then),
        _ => false,
    };
    if same {
        pending.sink = None;
    }
}
