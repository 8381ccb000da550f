//! The writing thread does not outlive its port.

use std::{
    io::Read,
    os::unix::net::UnixStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Output, Sink, Waits};

#[test]
fn the_thread_ends_when_the_port_goes_with_or_without_a_reader() {
    for sink in [None, Some(Sink::Null)] {
        let output = Output::start(sink).unwrap();
        output.push(b"last words");
        output.close();
        let patience = Instant::now() + Duration::from_secs(10);
        // The thread holds the other reference.
        while Arc::strong_count(&output.0) > 1 {
            assert!(Instant::now() < patience, "the thread is still there");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn what_a_guest_writes_byte_by_byte_leaves_in_pieces_and_a_line_at_its_end() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let output = Output::start(Some(Sink::Client(Arc::new(ours)))).unwrap();
    for byte in b"a whole line\n" {
        output.push(std::slice::from_ref(byte));
    }
    let mut line = [0; 13];
    (&theirs).read_exact(&mut line).unwrap();
    assert_eq!(&line, b"a whole line\n");
    // No line, and still it comes: a prompt has no end.
    output.push(b"login: ");
    let mut prompt = [0; 7];
    (&theirs).read_exact(&mut prompt).unwrap();
    assert_eq!(&prompt, b"login: ");
    output.close();
}

#[test]
fn the_thread_gathers_what_follows_a_first_byte_and_is_not_woken_for_it() {
    let output = Output::start(Some(Sink::Null)).unwrap();
    let patience = Instant::now() + Duration::from_secs(10);
    let gathers = || output.0.lock().thread == Waits::LineEnd;
    // It gathers for two milliseconds only: on a busy machine they may be over before anybody looks.
    while {
        output.push(b"a");
        output.push(b"b");
        !gathers()
    } {
        assert!(Instant::now() < patience, "every byte is written by itself");
        thread::sleep(Duration::from_micros(200));
    }
    output.close();
}
