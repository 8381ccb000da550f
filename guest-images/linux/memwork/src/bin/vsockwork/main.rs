//! Works on the streams between guest and host: sends back what comes to port 5000, for the host to judge, and sends
//! rounds of a pattern to port 5001 of the host, which is expected to send them back, and judges that.
//!
//! A stream that breaks is told, and made again.

#![warn(missing_docs)]

mod sys;

use std::{
    fs::File,
    io::{self, Read, Write},
    thread,
    time::Duration,
};

/// Address of the host.
const HOST: u32 = 2;
const ECHO_PORT: u32 = 5000;
const HOST_PORT: u32 = 5001;
/// Bytes of a round: a pattern that follows from its number.
const ROUND_BYTES: usize = 100_000;
const BUFFER_BYTES: usize = 64 << 10;
/// Time between rounds, and between attempts to reach the host.
const STEP: Duration = Duration::from_millis(500);

fn main() {
    match sys::Listener::at(ECHO_PORT) {
        Ok(listener) => drop(thread::spawn(move || {
            println!("linux: vsock echo on port {ECHO_PORT}");
            loop {
                match listener.accept() {
                    Ok(stream) => drop(thread::spawn(move || echo(stream))),
                    Err(error) => println!("linux: ERROR vsock: {error}"),
                }
            }
        })),
        Err(error) => println!("linux: ERROR no vsock: {error}"),
    }
    let mut round = 0;
    loop {
        if let Ok(stream) = sys::connect_to(HOST, HOST_PORT) {
            println!("linux: vsock connected");
            let error = rounds(stream, &mut round);
            println!("linux: vsock stream to the host ended: {error}");
        }
        thread::sleep(STEP);
    }
}

/// Until its other side ends it.
fn echo(mut stream: File) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let ended = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break "its end".to_owned(),
            Ok(len) => {
                if let Err(error) = stream.write_all(&buffer[..len]) {
                    break error.to_string();
                }
            }
            Err(error) => break error.to_string(),
        }
    };
    println!("linux: vsock stream of the host ended: {ended}");
}

/// Sends rounds until the stream breaks; why it did.
fn rounds(mut stream: File, round: &mut u64) -> io::Error {
    let mut bad = 0;
    loop {
        let pattern: Vec<u8> = format!("godwit vsock round {round}\n")
            .into_bytes()
            .into_iter()
            .cycle()
            .take(ROUND_BYTES)
            .collect();
        let mut back = vec![0; ROUND_BYTES];
        if let Err(error) = stream.write_all(&pattern).and_then(|()| stream.read_exact(&mut back)) {
            return error;
        }
        if back != pattern {
            bad += 1;
            println!("linux: BAD vsock round {round} comes back otherwise");
        }
        *round += 1;
        println!("linux: vsock round={round} bad={bad}");
        thread::sleep(STEP);
    }
}
