//! Who talks with a Linux guest by a port of its console device: the guest answers each line (`godwit.ports=1`).

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Longest wait for an answer; the guest may be in an emulator's emulator.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long until words are said again.
const AGAIN: Duration = Duration::from_secs(5);

/// Somebody at the host's end of a port.
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// At the socket of a port.
    ///
    /// # Panics
    /// Where nobody listens there.
    #[must_use]
    pub fn at(path: &str) -> Self {
        let stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        stream.set_read_timeout(Some(AGAIN)).expect("a time-out");
        Self(BufReader::new(stream))
    }

    /// Says `words`, and waits for the guest's answer, `PORT: WORDS`. A terminal says what is typed, too. Says them again where
    /// nothing comes: what a guest has not read when it closes its end, since the client before this one went, is lost to it.
    ///
    /// # Panics
    /// Where no answer comes.
    pub fn ask(&mut self, port: &str, words: &str) {
        let answer = format!("{port}: {words}");
        let (began, mut line) = (Instant::now(), String::new());
        loop {
            writeln!(self.0.get_mut(), "{words}").expect("it takes a line");
            loop {
                match self.0.read_line(&mut line) {
                    Ok(0) => panic!("no '{answer}'"),
                    Ok(_) if line.trim_end() == answer => return,
                    Ok(_) => line.clear(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock && began.elapsed() < PATIENCE => {
                        break;
                    }
                    Err(error) => panic!("no '{answer}': {error}"),
                }
            }
        }
    }

    /// Whether its stream ends, now or soon.
    pub fn is_over(&mut self) -> bool {
        match self.0.get_mut().read(&mut [0; 1]) {
            Ok(read) => read == 0,
            // Nothing has come: it goes on.
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}
