//! Streams and requests to a peer outside.
//!
//! Whoever is the peer reads a byte from each connection, which says what is wanted: `s`, to read to the end of the stream
//! and answer with the number of bytes (8, little-endian); `f`, to write for as long as the connection is there; `r`, to
//! send each byte back.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::Rate;

const BUFFER_BYTES: usize = 128 << 10;
/// The first connection may be made before the card is up.
const PATIENCE: Duration = Duration::from_secs(30);

fn connect(peer: SocketAddr, wanted: u8) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&peer, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[wanted])?;
    Ok(stream)
}

/// Bytes a second to the peer: those that it has read, by the time that its word of them came back.
///
/// # Errors
/// Where the peer is not there, or goes away.
pub fn send(peer: SocketAddr, time: Duration) -> io::Result<Rate> {
    let mut stream = connect(peer, b's')?;
    let buffer = vec![0x5a; BUFFER_BYTES];
    let start = Instant::now();
    while start.elapsed() < time {
        stream.write_all(&buffer)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut count = [0; 8];
    stream.read_exact(&mut count)?;
    Ok(Rate::since(start, u64::from_le_bytes(count)))
}

/// Bytes a second from the peer.
///
/// # Errors
/// As [`send`].
pub fn receive(peer: SocketAddr, time: Duration) -> io::Result<Rate> {
    let mut stream = connect(peer, b'f')?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed() < time {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes += read as u64,
        }
    }
    Ok(Rate::since(start, bytes))
}

/// Requests a second of one byte, each of which waits for its answer.
///
/// # Errors
/// As [`send`].
pub fn requests(peer: SocketAddr, time: Duration) -> io::Result<Rate> {
    let mut stream = connect(peer, b'r')?;
    let (start, mut done, mut byte) = (Instant::now(), 0, [0x5a]);
    while start.elapsed() < time {
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        done += 1;
    }
    Ok(Rate::since(start, done))
}
