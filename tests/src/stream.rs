//! What a process prints, heard as it comes, with the time of each line. A thread reads the pipe to its end.
//!
//! Waiting is for an event, never for a time: a limit only says when a test has failed.

use std::{
    io::Read,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Bytes kept of a stream; a process that prints more than any test wants has failed it.
const MAX_BYTES: usize = 64 << 20;

/// One pipe of a process. Clones hear the same.
#[derive(Clone)]
pub struct Stream {
    name: String,
    shared: Arc<(Mutex<Heard>, Condvar)>,
}

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    /// Length after each read, and when it was.
    arrivals: Vec<(usize, SystemTime)>,
    over: bool,
}

/// A whole line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When its end was heard.
    pub at: SystemTime,
    /// Without its end.
    pub text: String,
}

impl Stream {
    /// Hears `pipe`; `name` is for messages.
    pub fn hear(name: impl Into<String>, mut pipe: impl Read + Send + 'static) -> Self {
        let stream = Self { name: name.into(), shared: Arc::default() };
        let shared = Arc::clone(&stream.shared);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                let read = pipe.read(&mut piece).unwrap_or(0);
                let mut heard = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                heard.bytes.extend_from_slice(&piece[..read]);
                let length = heard.bytes.len();
                heard.arrivals.push((length, SystemTime::now()));
                heard.over = read == 0 || length > MAX_BYTES;
                shared.1.notify_all();
                if heard.over {
                    return;
                }
            }
        });
        stream
    }

    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard().bytes).into_owned()
    }

    /// The whole lines so far of several streams that are one: a line may begin in one and end in the next.
    #[must_use]
    pub fn joined(streams: &[Self]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut begun = Vec::new();
        for stream in streams {
            let heard = stream.heard();
            let mut arrivals = heard.arrivals.iter().peekable();
            let mut end = 0;
            for piece in heard.bytes.split_inclusive(|&byte| byte == b'\n') {
                begun.extend_from_slice(piece);
                end += piece.len();
                if !piece.ends_with(b"\n") {
                    continue;
                }
                while arrivals.next_if(|(length, _)| *length < end).is_some() {}
                let at = arrivals.peek().map_or(SystemTime::UNIX_EPOCH, |(_, at)| *at);
                lines.push(Line { at, text: String::from_utf8_lossy(&begun).trim_end().to_owned() });
                begun.clear();
            }
        }
        lines
    }

    /// Waits until `found` finds something in the text so far; `what` says what is waited for.
    ///
    /// # Panics
    /// When the stream ends or `limit` passes before.
    pub fn wait<T>(&self, what: &str, limit: Duration, mut found: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        let mut heard = self.heard();
        loop {
            if let Some(value) = found(&String::from_utf8_lossy(&heard.bytes)) {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if heard.over || left.is_zero() {
                let why = if heard.over { "it has ended" } else { "the time is over" };
                let text = String::from_utf8_lossy(&heard.bytes).into_owned();
                drop(heard);
                panic!("no {what} from {} ({why}); it said:\n{text}", self.name);
            }
            heard = self.shared.1.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `text` has been heard.
    ///
    /// # Panics
    /// As [`Self::wait`].
    pub fn wait_for(&self, text: &str, limit: Duration) {
        self.wait(&format!("'{text}'"), limit, |heard| heard.contains(text).then_some(()));
    }

    /// Waits for the end of the stream, and returns all of it; `None` where `limit` passes before.
    #[must_use]
    pub fn end(&self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        let mut heard = self.heard();
        while !heard.over {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            heard = self.shared.1.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(String::from_utf8_lossy(&heard.bytes).into_owned())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
