//! Sends back what comes by network: bytes of TCP streams, and datagrams of UDP. Whoever sent them judges.

use std::{
    io::{self, Read, Write},
    net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    thread,
};

const BUFFER_BYTES: usize = 64 << 10;

/// Begins, on every address that the guest has, now or later.
///
/// # Errors
/// Where the port cannot be had.
pub fn start(port: u16) -> io::Result<()> {
    // Takes IPv4 too.
    let (listener, socket) =
        (TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?, UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    thread::spawn(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                // Lost, where there is no way back: that is for the other side to see.
                let _ = socket.send_to(&buffer[..len], from);
            }
        }
    });
    println!("linux: echo on port {port}");
    Ok(())
}

/// Until its other side ends it.
fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..len]).is_err() {
            return;
        }
    }
}
