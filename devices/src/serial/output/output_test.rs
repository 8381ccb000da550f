//! The writing thread does not outlive its port.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Output, Sink};

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
