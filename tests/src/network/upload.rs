//! A TCP stream to a guest that sums up what comes: at the end its sum must be that of what was sent.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::traffic::{PATIENCE, content};

const BLOCK_BYTES: usize = 64 << 10;
/// Least segments that TCP makes of its stream at a time. In an emulator answers take so long that TCP takes the link for a
/// slow one, and has a program's time spent on single segments.
const LEAST_SEGMENTS: (&str, &str) = ("/proc/sys/net/ipv4/tcp_min_tso_segs", "44");

/// A stream under way.
pub struct Upload {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    pause_us: Arc<AtomicU64>,
    writer: JoinHandle<String>,
}

impl Upload {
    /// Begins a stream to `to`, with a pause after each block of 64 KiB.
    ///
    /// # Panics
    /// Where nobody answers there.
    #[must_use]
    pub fn start(to: SocketAddr, pause: Duration) -> Self {
        let (place, count) = LEAST_SEGMENTS;
        fs::write(place, count).unwrap_or_else(|e| panic!("{place}: {e}"));
        let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|e| panic!("{to}: {e}"));
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        let sum = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let sum = sum.unwrap_or_else(|e| panic!("md5sum: {e}"));
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let pause_us = Arc::new(AtomicU64::new(0));
        let (asked, count, rest) = (Arc::clone(&over), Arc::clone(&sent), Arc::clone(&pause_us));
        let upload = Self {
            over,
            sent,
            pause_us,
            writer: thread::spawn(move || write(stream, sum, &asked, &count, &rest)),
        };
        upload.set_pause(pause);
        upload
    }

    /// Pauses so long after each block from now on.
    pub fn set_pause(&self, pause: Duration) {
        self.pause_us.store(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Bytes that this host's kernel has taken so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Ends the stream; the MD5 sum of what was sent, as md5sum prints it.
    ///
    /// # Panics
    /// Where the stream broke.
    #[must_use]
    pub fn end(self) -> String {
        self.over.store(true, Ordering::Release);
        self.writer.join().expect("the stream is written to its end")
    }
}

fn write(
    mut stream: TcpStream,
    mut sum: Child,
    over: &AtomicBool,
    sent: &AtomicU64,
    pause_us: &AtomicU64,
) -> String {
    let mut summed = sum.stdin.take().expect("it is piped");
    let (mut at, mut block) = (0, vec![0; BLOCK_BYTES]);
    content(0, &mut block);
    while !over.load(Ordering::Acquire) {
        // No two blocks are the same, and an emulated CPU has little time to make them.
        block[..size_of_val(&at)].copy_from_slice(&u64::to_le_bytes(at));
        stream.write_all(&block).unwrap_or_else(|e| panic!("writing byte {at}: {e}"));
        summed.write_all(&block).unwrap_or_else(|e| panic!("summing byte {at}: {e}"));
        at += BLOCK_BYTES as u64;
        sent.store(at, Ordering::Release);
        thread::sleep(Duration::from_micros(pause_us.load(Ordering::Acquire)));
    }
    stream.shutdown(Shutdown::Write).unwrap_or_else(|e| panic!("ending after byte {at}: {e}"));
    drop(summed);
    let mut said = String::new();
    sum.stdout.take().expect("it is piped").read_to_string(&mut said).expect("md5sum's word");
    assert!(sum.wait().is_ok_and(|status| status.success()), "md5sum failed");
    said
}
