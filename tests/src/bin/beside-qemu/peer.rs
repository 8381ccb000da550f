//! The other end of the guest's network: does what each connection asks for by its first byte, as the guest's `iowork` says
//! (guest-images/linux/memwork/src/bin/iowork/network.rs).

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use socket2::SockRef;

pub const PORT: u16 = 7000;
const BUFFER_BYTES: usize = 128 << 10;

/// The peer of all guests, one after the other.
pub struct Peer(Arc<Mutex<Vec<TcpStream>>>);

impl Peer {
    /// Begins to listen.
    ///
    /// # Panics
    /// Where the port cannot be had.
    pub fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("the port is free");
        let streams = Arc::<Mutex<Vec<TcpStream>>>::default();
        let known = Arc::clone(&streams);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A guest that is killed ends nothing: its connections must not go on when the next one has its address.
                if let (Ok(other), Ok(())) =
                    (stream.try_clone(), SockRef::from(&stream).set_linger(Some(Duration::ZERO)))
                {
                    known.lock().unwrap_or_else(PoisonError::into_inner).push(other);
                    thread::spawn(|| drop(serve(stream)));
                }
            }
        });
        Self(streams)
    }

    /// Breaks off the connections of a guest that is gone.
    pub fn forget(&self) {
        for stream in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Fails where it has ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wanted = [0];
    stream.read_exact(&mut wanted)?;
    match wanted[0] {
        b's' => take(stream),
        b'f' => give(stream),
        _ => answer(stream),
    }
}

fn take(mut stream: TcpStream) -> io::Result<()> {
    let (mut buffer, mut count) = (vec![0; BUFFER_BYTES], 0_u64);
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.write_all(&count.to_le_bytes()),
            read => count += read as u64,
        }
    }
}

fn give(mut stream: TcpStream) -> io::Result<()> {
    let buffer = vec![0x5a; BUFFER_BYTES];
    loop {
        stream.write_all(&buffer)?;
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
}
