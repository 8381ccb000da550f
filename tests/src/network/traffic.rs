//! One TCP stream through a guest that sends back what it gets: every byte is known, and looked at when it returns.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const BLOCK_BYTES: usize = 16 << 10;
/// Pause after each block: a stream at full speed would leave a host of one CPU nothing for its guest.
const PAUSE: Duration = Duration::from_millis(30);
/// How long nothing may come back before the stream counts as dead.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A stream under way.
pub struct Traffic {
    over: Arc<AtomicBool>,
    checked: Arc<AtomicU64>,
    writer: JoinHandle<u64>,
    reader: JoinHandle<u64>,
}

/// Fills `block` with the bytes of the stream from `at` on.
pub(super) fn content(at: u64, block: &mut [u8]) {
    for (word, bytes) in (at / 8..).zip(block.chunks_exact_mut(8)) {
        // A cheap mix of all bits: no two places look alike.
        let mixed = word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes.copy_from_slice(&(mixed ^ mixed >> 29).to_le_bytes());
    }
}

impl Traffic {
    /// Begins a stream to `to`.
    ///
    /// # Panics
    /// Where nobody answers there.
    #[must_use]
    pub fn start(to: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|e| panic!("{to}: {e}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let other = stream.try_clone().expect("a descriptor");
        let (over, checked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (asked, count) = (Arc::clone(&over), Arc::clone(&checked));
        Self {
            over,
            checked,
            writer: thread::spawn(move || write(stream, &asked)),
            reader: thread::spawn(move || read(other, &count)),
        }
    }

    /// Bytes that have come back right so far.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    /// Ends the stream, and says how many bytes went there and back.
    ///
    /// # Panics
    /// Where one was lost or wrong, or the stream broke.
    #[must_use]
    pub fn end(self) -> u64 {
        self.over.store(true, Ordering::Release);
        let written = self.writer.join().expect("the stream is written to its end");
        let read = self.reader.join().expect("the stream comes back as it was");
        assert_eq!(read, written, "bytes that came back, of those that went there");
        read
    }
}

fn write(mut stream: TcpStream, over: &AtomicBool) -> u64 {
    let (mut at, mut block) = (0, vec![0; BLOCK_BYTES]);
    while !over.load(Ordering::Acquire) {
        content(at, &mut block);
        stream.write_all(&block).unwrap_or_else(|e| panic!("writing byte {at}: {e}"));
        at += BLOCK_BYTES as u64;
        thread::sleep(PAUSE);
    }
    stream.shutdown(Shutdown::Write).unwrap_or_else(|e| panic!("ending after byte {at}: {e}"));
    at
}

fn read(mut stream: TcpStream, count: &AtomicU64) -> u64 {
    let (mut at, mut block, mut expected) = (0, vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    loop {
        // Whole blocks come back, and the end after one of them.
        let mut got = 0;
        while got < BLOCK_BYTES {
            match stream.read(&mut block[got..]) {
                Ok(0) if got == 0 => return at,
                Ok(0) => panic!("the stream ends in the middle of a block, at byte {}", at + got as u64),
                Ok(len) => got += len,
                Err(error) => panic!("reading byte {}: {error}", at + got as u64),
            }
        }
        content(at, &mut expected);
        assert!(block == expected, "the block at byte {at} came back wrong");
        at += BLOCK_BYTES as u64;
        count.store(at, Ordering::Release);
    }
}
