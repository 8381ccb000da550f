//! Datagrams to a guest that sends them back, at a steady rate, and the longest time without an answer.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What came of the datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// Sent.
    pub sent: u64,
    /// Come back.
    pub answered: u64,
    /// Longest time between two answers.
    pub longest_gap: Duration,
}

/// Datagrams under way.
pub struct Pings {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Answers>,
}

impl Pings {
    /// Sends one every `interval` to `to`.
    ///
    /// # Panics
    /// Where the host has no sockets.
    #[must_use]
    pub fn start(to: SocketAddr, interval: Duration) -> Self {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
        socket.connect(to).expect("a way to the guest");
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&over);
        Self { over, thread: thread::spawn(move || run(&socket, interval, &asked)) }
    }

    /// Ends them.
    ///
    /// # Panics
    /// Where an answer was none that was asked for.
    #[must_use]
    pub fn end(self) -> Answers {
        self.over.store(true, Ordering::Release);
        self.thread.join().expect("every answer is one to a question")
    }
}

fn run(socket: &UdpSocket, interval: Duration, over: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    let (mut next, mut last) = (Instant::now(), None::<Instant>);
    while !over.load(Ordering::Acquire) {
        // A neighbour that does not answer for a while is an error of the socket's, and no end.
        let _ = socket.send(&answers.sent.to_le_bytes());
        answers.sent += 1;
        next += interval;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let _ = socket.set_read_timeout(Some(left));
            let mut number = [0; 8];
            if let Ok(8) = socket.recv(&mut number) {
                assert!(u64::from_le_bytes(number) < answers.sent, "an answer to no question");
                answers.answered += 1;
                let now = Instant::now();
                if let Some(last) = last.replace(now) {
                    answers.longest_gap = answers.longest_gap.max(now - last);
                }
            }
        }
    }
    answers
}
