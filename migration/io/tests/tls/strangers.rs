//! Who does not get as far as a certificate: the old, the cut off, the slow and the many.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    time::Duration,
};

use godwit_migration::error::Class;

use crate::world::{Set, Target, fails, moves};

/// A ClientHello that offers TLS 1.2 and nothing newer.
fn hello_of_tls12() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]); // random
    body.push(0); // no session
    body.extend([0, 2, 0xc0, 0x2f]); // ECDHE_RSA_WITH_AES_128_GCM_SHA256
    body.extend([1, 0]); // no compression
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..], // groups: secp256r1
        &[0, 11, 0, 2, 1, 0],            // points: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],      // signatures: ecdsa_secp256r1_sha256
        &[0, 23, 0, 0],                  // extended master secret
    ]
    .concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(22, &[&[1, 0, 0, body.len() as u8][..], &body].concat())
}

/// The answer of a server that has nothing newer.
fn server_hello_of_tls12() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([9; 32]); // random
    body.push(0); // no session
    body.extend([0x13, 0x01, 0]); // TLS_AES_128_GCM_SHA256, no compression; no extension says 1.3
    record(22, &[&[2, 0, 0, body.len() as u8][..], &body].concat())
}

fn record(typ: u8, body: &[u8]) -> Vec<u8> {
    [&[typ, 3, 1][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

#[test]
fn no_older_version_is_spoken_by_either() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    let mut socket = target.socket();
    socket.write_all(&hello_of_tls12()).unwrap();
    let mut answer = vec![];
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70], "a fatal alert: protocol_version");
    target.heard("the source does not speak TLS 1.3 as godwit does, and no older version is spoken");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut hello = [0; 5];
        socket.read_exact(&mut hello).unwrap();
        let mut body = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        socket.read_exact(&mut body).unwrap();
        socket.write_all(&server_hello_of_tls12()).unwrap();
        let mut answer = vec![];
        let _ = socket.read_to_end(&mut answer);
        answer
    });
    let said = fails(&to, set.source(&[]), Class::Link);
    assert!(said.contains("the target does not speak TLS 1.3 as godwit does"), "{said}");
    assert_eq!(server.join().unwrap()[..1], [21], "an alert");
}

#[test]
fn who_says_half_and_closes_is_told_apart_from_who_says_nothing() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    let mut socket = target.socket();
    socket.write_all(&hello_of_tls12()[..20]).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = vec![];
    let _ = socket.read_to_end(&mut answer);
    target.heard("the source closed the connection in the middle of the TLS handshake");

    // A target that does so.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(&server_hello_of_tls12()[..20]).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let _ = socket.read_to_end(&mut vec![]);
    });
    let said = fails(&to, set.source(&[]), Class::Link);
    assert!(said.contains("the target closed the connection in the middle of the TLS handshake"), "{said}");
    server.join().unwrap();
}

#[test]
fn a_handshake_without_end_takes_no_more_memory_than_a_handshake() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    let mut socket = target.socket();
    // A ClientHello of 16 MiB, of which some comes.
    let mut body = vec![1, 0xff, 0xff, 0xff];
    body.resize(16 << 10, 0);
    for _ in 0..8 {
        if socket.write_all(&record(22, &body)).is_err() {
            break;
        }
        body.fill(0);
    }
    let _ = socket.read_to_end(&mut vec![]);
    target.heard("a connection was turned away: the TLS handshake with the source failed");
}

#[test]
fn the_slow_and_the_many_hold_nobody_up_for_ever() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    // More than may be about to say what they are, and say nothing.
    let silent: Vec<_> = (0..70).map(|_| target.socket()).collect();
    let mut slow = target.socket();
    let dripping = std::thread::spawn(move || {
        for byte in hello_of_tls12() {
            if slow.write_all(&[byte]).is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        false
    });
    moves(&target, set.source(&[]), 1);
    assert!(dripping.join().unwrap(), "who says a byte now and then is not waited for");
    assert!(target.end().said.contains("it had not said who it is in 5 s"));
    drop(silent);
}
