//! Questions to a guest at a steady rate, and the longest time without an answer: datagrams that a program in it sends
//! back, or pings, which its kernel answers.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Groups of processes that may ping without the right to anything else.
const MAY_PING: &str = "/proc/sys/net/ipv4/ping_group_range";
/// ICMP's header and its kind (RFC 792); the kernel fills in the rest of it.
const ICMP_HEADER: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0];
/// Bytes of a question's number, which comes back.
const NUMBER_BYTES: usize = 8;
/// How often the end is looked for where nothing is heard.
const LOOK: Duration = Duration::from_millis(100);

/// What came of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// Sent.
    pub sent: u64,
    /// Come back.
    pub answered: u64,
    /// Longest time between two answers.
    pub longest_gap: Duration,
}

/// Time between two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the answer before it came.
    pub since: Instant,
    /// How long it was.
    pub length: Duration,
}

/// Questions under way.
pub struct Pings {
    over: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Instant>>>,
    asking: JoinHandle<u64>,
    hearing: JoinHandle<()>,
}

impl Pings {
    /// Sends a datagram every `interval` to `to`, where something sends it back.
    ///
    /// # Panics
    /// Where the host has no sockets.
    #[must_use]
    pub fn start(to: SocketAddr, interval: Duration) -> Self {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
        socket.connect(to).expect("a way to the guest");
        Self::on(socket, &[], interval)
    }

    /// Pings `to` every `interval`.
    ///
    /// # Panics
    /// Where this process may not.
    #[must_use]
    pub fn by_icmp(to: Ipv4Addr, interval: Duration) -> Self {
        fs::write(MAY_PING, "0 0").unwrap_or_else(|e| panic!("{MAY_PING}: {e}"));
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4)).expect("a ping socket");
        socket.connect(&SocketAddr::from((to, 0)).into()).expect("a way to the guest");
        Self::on(socket.into(), &ICMP_HEADER, interval)
    }

    fn on(socket: UdpSocket, header: &'static [u8], interval: Duration) -> Self {
        let (over, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (asked, note) = (Arc::clone(&over), Arc::clone(&heard));
        let number = Arc::new(AtomicU64::new(0));
        let other = socket.try_clone().expect("a descriptor");
        // The one that hears is never late because the other one is.
        other.set_read_timeout(Some(LOOK)).expect("a time-out");
        let (told, end) = (Arc::clone(&number), Arc::clone(&over));
        let asking = thread::spawn(move || ask(&socket, header, interval, &asked, &number));
        let hearing = thread::spawn(move || hear(&other, header.len(), &end, &told, &note));
        Self { over, heard, asking, hearing }
    }

    /// How many have come back by now.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.heard().len()
    }

    /// The times between answers within `span`, each as a whole where a part of it is there.
    #[must_use]
    pub fn gaps(&self, span: Range<Instant>) -> Vec<Gap> {
        gaps(&self.heard())
            .filter(|gap| gap.since + gap.length > span.start && gap.since < span.end)
            .collect()
    }

    /// Ends them.
    ///
    /// # Panics
    /// Where an answer was none that was asked for.
    #[must_use]
    pub fn end(self) -> Answers {
        self.over.store(true, Ordering::Release);
        let sent = self.asking.join().expect("the questions are asked");
        self.hearing.join().expect("every answer is one to a question");
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let longest_gap = gaps(&heard).map(|gap| gap.length).max().unwrap_or_default();
        Answers { sent, answered: heard.len() as u64, longest_gap }
    }

    fn heard(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gaps(heard: &[Instant]) -> impl Iterator<Item = Gap> {
    heard.windows(2).map(|pair| Gap { since: pair[0], length: pair[1] - pair[0] })
}

/// Asks until it is `over`; how many questions there were. What could not be asked in time is not made up for.
fn ask(socket: &UdpSocket, header: &[u8], interval: Duration, over: &AtomicBool, asked: &AtomicU64) -> u64 {
    let mut number: u64 = 0;
    let mut next = Instant::now();
    while !over.load(Ordering::Acquire) {
        asked.store(number + 1, Ordering::Release);
        // A neighbour that does not answer for a while is an error of the socket's, and no end.
        let _ = socket.send(&[header, &number.to_le_bytes()].concat());
        number += 1;
        next = Instant::now().max(next + interval);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    number
}

/// Hears answers until it is `over`.
fn hear(
    socket: &UdpSocket,
    header_bytes: usize,
    over: &AtomicBool,
    asked: &AtomicU64,
    heard: &Mutex<Vec<Instant>>,
) {
    let mut answer = vec![0; header_bytes + NUMBER_BYTES];
    while !over.load(Ordering::Acquire) {
        if socket.recv(&mut answer).is_ok_and(|len| len == answer.len()) {
            let number = answer.last_chunk().copied().map(u64::from_le_bytes);
            let asked = asked.load(Ordering::Acquire);
            assert!(number.is_some_and(|number| number < asked), "an answer to no question");
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
    }
}
