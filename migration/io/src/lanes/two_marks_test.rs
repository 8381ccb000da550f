//! What goes in comes out, in order; the marks say who waits; nothing is lost track of.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use godwit_migration::wire::Backlog;

use super::{outlet::Sink, two_marks::TwoMarks};
use crate::send_buffer::SendBuffer;

const SIZE: usize = 1 << 20;

/// A sink that takes a chunk for each permit, and gives it on.
struct Gate {
    permits: Receiver<io::Result<()>>,
    taken: Sender<Vec<u8>>,
}

impl Sink for Gate {
    fn put(&mut self, bytes: &[u8]) -> io::Result<Backlog> {
        self.permits.recv().unwrap_or(Err(io::ErrorKind::ConnectionReset.into()))?;
        self.taken.send(bytes.to_vec()).expect("a test that looks");
        Ok(Backlog::default())
    }
}

/// A buffer of 1 MiB with marks at 10 and 50 percent, the permits, and what came out.
fn gated() -> (TwoMarks<Gate>, Sender<io::Result<()>>, Receiver<Vec<u8>>) {
    let (permit, permits) = channel();
    let (taken, out) = channel();
    let marks = SendBuffer::new(SIZE as u64, 10, 50).unwrap();
    (TwoMarks::start(Gate { permits, taken }, marks).unwrap(), permit, out)
}

#[test]
fn below_the_low_mark_it_collects_and_a_flush_drains() {
    let (mut buffer, permit, out) = gated();
    permit.send(Ok(())).unwrap();
    buffer.put(&[7; SIZE / 20]).unwrap();
    assert!(out.recv_timeout(Duration::from_millis(30)).is_err(), "collected");
    buffer.flush().unwrap();
    assert_eq!(out.try_recv().unwrap(), [7; SIZE / 20], "drained when the flush returns");
    buffer.flush().unwrap();
}

#[test]
fn above_the_low_mark_it_drains_while_the_lane_goes_on() {
    let (mut buffer, permit, out) = gated();
    buffer.put(&[1; SIZE / 5]).unwrap();
    buffer.put(&[2; SIZE / 5]).unwrap();
    permit.send(Ok(())).unwrap();
    permit.send(Ok(())).unwrap();
    assert_eq!((out.recv().unwrap()[0], out.recv().unwrap()[0]), (1, 2), "nobody had to ask");
}

#[test]
fn above_the_high_mark_the_lane_waits_for_the_drain() {
    let (mut buffer, permit, out) = gated();
    let (done, lane) = channel();
    let thread = std::thread::spawn(move || {
        buffer.put(&[1; SIZE / 2]).unwrap();
        done.send("filled").unwrap();
        buffer.put(&[2; SIZE / 4]).unwrap();
        done.send("over the mark").unwrap();
        buffer.flush()
    });
    assert_eq!(lane.recv().unwrap(), "filled");
    assert!(lane.recv_timeout(Duration::from_millis(30)).is_err(), "it waits");
    permit.send(Ok(())).unwrap();
    assert_eq!(lane.recv().unwrap(), "over the mark");
    permit.send(Ok(())).unwrap();
    thread.join().unwrap().unwrap();
    assert_eq!(out.iter().map(|chunk| chunk.len()).sum::<usize>(), SIZE / 4 * 3);
}

#[test]
fn any_sizes_come_out_whole_and_in_order() {
    let (mut buffer, permit, out) = gated();
    for _ in 0..1000 {
        permit.send(Ok(())).unwrap();
    }
    let sizes = [1, SIZE / 3, 0, SIZE - 1, SIZE, 3 * SIZE + 7, 17, SIZE / 2, SIZE / 2, SIZE / 2];
    let bytes: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|n| (n % 251) as u8).collect();
    let mut rest = bytes.as_slice();
    for size in sizes {
        buffer.put(&rest[..size]).unwrap();
        rest = &rest[size..];
    }
    buffer.flush().unwrap();
    drop(buffer);
    assert!(out.iter().flatten().eq(bytes));
}

#[test]
fn a_broken_sink_is_an_error_of_the_lane() {
    let (mut buffer, permit, _out) = gated();
    permit.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
    // Told by whichever call the drain's thread comes before.
    let told = buffer.put(&[1; SIZE / 5]).and_then(|_| buffer.flush());
    assert_eq!(told.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(buffer.put(&[1]).is_err() && buffer.flush().is_err(), "and stays one");
}

#[test]
fn sizes_and_marks_are_read_and_refused_by_name() {
    assert_eq!("8M".parse::<SendBuffer>().unwrap().to_string(), "8388608,low=5,high=70");
    assert_eq!("1G,high=100,low=0".parse::<SendBuffer>().unwrap().to_string(), "1073741824,low=0,high=100");
    for (bad, words) in [
        ("", "such as 8M,low=5,high=70"),
        ("-1M", "such as 8M"),
        ("99999999999999999999G", "such as 8M"),
        ("1K", "262144 to 1073741824"),
        ("2G", "262144 to 1073741824"),
        ("8M,low=70,high=5", "low below high"),
        ("8M,high=101", "at most 100"),
        ("8M,low=x", "whole number of percent"),
        ("8M,middle=3", "no 'middle=3'"),
    ] {
        let said = bad.parse::<SendBuffer>().unwrap_err();
        assert!(said.contains(words), "{bad}: {said}");
    }
}
