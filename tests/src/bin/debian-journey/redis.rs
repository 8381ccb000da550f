//! Redis in the guest, redis-benchmark and a client that counts outside: every increment arrives once, and no connection
//! drops while the guest moves there and back.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use godwit_tests::debian::{Debian, GUEST, PATIENCE};

const PORT: u16 = 6379;
/// Requests of one run of redis-benchmark; runs follow each other until there is a file.
const REQUESTS: u64 = 1000;
const STOP: &str = "/tmp/redis-stop";
/// Increments that are waited for before, between and after the moves.
const COUNTS: u64 = 50;
/// Pause of the counting client: a host of one CPU has other things to do.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) fn journey(debian: &mut Debian) {
    debian.run("systemctl start redis-server");
    let counting = Counting::start();
    let clients = debian.clients();
    let command = format!(
        "runs=0; while [ ! -e {STOP} ]; do redis-benchmark -h {GUEST} -c 4 -n {REQUESTS} -t incr,set,lpush -q || exit 1; \
         runs=$((runs + 1)); done; echo runs=$runs"
    );
    let mut benchmark = clients.start("redis-benchmark", &command);
    benchmark.out.wait_for("INCR: ", PATIENCE);
    for _ in 0..2 {
        debian.hop();
        counting.await_more(COUNTS);
        assert!(!benchmark.is_over(), "{}", benchmark.err.text());
    }
    std::fs::write(clients.path(STOP), "").expect("the clients' disk can be written");
    let ended = benchmark.end(PATIENCE);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    let runs = ended.out.rsplit_once("runs=").and_then(|(_, count)| count.trim().parse::<u64>().ok());
    let counted =
        clients.start("redis-cli", &format!("redis-cli -h {GUEST} get counter:__rand_int__")).end(PATIENCE);
    assert_eq!(counted.out.trim().parse().ok(), runs.map(|runs| runs * REQUESTS), "increments: {ended:?}");
    let (count, gap) = counting.end();
    println!(
        "  {} runs of redis-benchmark; {count} increments, each once; the longest took {gap:?}",
        runs.unwrap_or_default()
    );
    debian.run("systemctl stop redis-server");
}

/// A client that increments a number, one at a time over one connection, and looks at each answer.
struct Counting {
    over: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Duration>,
}

impl Counting {
    fn start() -> Self {
        let stream =
            TcpStream::connect_timeout(&SocketAddr::from((GUEST, PORT)), PATIENCE).expect("Redis listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (asked, done) = (Arc::clone(&over), Arc::clone(&count));
        Self { over, count, thread: thread::spawn(move || increment(&stream, &asked, &done)) }
    }

    fn await_more(&self, more: u64) {
        let goal = self.count.load(Ordering::Acquire) + more;
        super::wait("increments", || {
            assert!(!self.thread.is_finished(), "the counting client has ended");
            self.count.load(Ordering::Acquire) >= goal
        });
    }

    /// How many there were, and how long the longest took.
    fn end(self) -> (u64, Duration) {
        self.over.store(true, Ordering::Release);
        let longest = self.thread.join().expect("every answer was the next number");
        (self.count.load(Ordering::Acquire), longest)
    }
}

fn increment(stream: &TcpStream, over: &AtomicBool, count: &AtomicU64) -> Duration {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let (mut longest, mut number) = (Duration::ZERO, 0);
    while !over.load(Ordering::Acquire) {
        let asked = Instant::now();
        writer.write_all(b"INCR godwit\r\n").expect("the connection stays");
        let mut answer = String::new();
        reader.read_line(&mut answer).expect("an answer comes");
        number += 1;
        assert_eq!(answer, format!(":{number}\r\n"), "the answer to increment {number}");
        longest = longest.max(asked.elapsed());
        count.store(number, Ordering::Release);
        thread::sleep(PAUSE);
    }
    longest
}
