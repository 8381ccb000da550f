//! The first line of a client of the host: `CONNECT <port>`, and the answer once the guest has accepted.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
};

/// Longest line: `CONNECT 4294967295` and its end.
const LINE_BYTES: usize = 19;

/// A client that has not said yet where it wants to go.
pub struct Greeting {
    socket: UnixStream,
    line: Vec<u8>,
}

/// What came of listening to it.
pub enum Heard {
    /// Not all of it yet.
    Part(Greeting),
    /// It wants to go to this port of the guest.
    Port(UnixStream, u32),
    /// It went away, or said something else.
    Nothing,
}

impl Greeting {
    /// A client that has come just now; its socket does not block.
    pub fn of(socket: UnixStream) -> Self {
        Self { socket, line: Vec::new() }
    }

    /// Listens to what has come. Byte by byte, for what stands behind the line is the guest's.
    pub fn listen(mut self) -> Heard {
        let mut byte = [0];
        loop {
            match self.socket.read(&mut byte) {
                Ok(1) if byte == *b"\n" => {
                    return port(&self.line).map_or(Heard::Nothing, |port| Heard::Port(self.socket, port));
                }
                Ok(1) if self.line.len() < LINE_BYTES => self.line.push(byte[0]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Part(self),
                _ => return Heard::Nothing,
            }
        }
    }
}

fn port(line: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(line).ok()?.strip_prefix("CONNECT ")?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Tells a client that the guest has accepted it, as `port` of the host.
///
/// # Errors
/// Where it has gone.
pub fn accept(mut socket: &UnixStream, port: u32) -> io::Result<()> {
    // Nothing was ever written to it, so it has room.
    socket.write_all(format!("OK {port}\n").as_bytes())
}
