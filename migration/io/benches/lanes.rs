//! What a lane costs and what its coders win: `cargo bench -p godwit-transport --bench lanes [-- FILTER]`.
//!
//! Every figure is the median of several, and what is compared is measured in turn in the same run. One thread sends,
//! one receives, over a loopback TCP connection; a limited link is a sender that sleeps.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use godwit_migration::{
    codec::{Coded, Encoding, by_name},
    host::{HostError, PageBytes, PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
    wire::{Allowance, Backlog, LaneIn, LaneOut},
};

use godwit_transport::{
    Listener,
    protection::Protection,
    stream::{self, Stream},
    tls::{SourceTls, TargetTls, authority},
};

mod content;

use content::{Memory, noise, text};

const MIB: usize = 1 << 20;
/// Guest memory that a round sends: more than any cache.
const PAGES: u32 = 128 << 8;
/// Measurements of which the median counts.
const RUNS: usize = 7;

fn main() {
    // Cargo passes `--bench`; what else there is chooses.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let benches: [(&str, fn()); 5] =
        [("zero", zero_detection), ("raw", raw_path), ("tls", tls), ("coders", coders), ("auto", auto)];
    for (name, bench) in benches {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            bench();
        }
    }
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// Medians of ways that are measured in turn, so that what else the machine does meets all of them.
fn in_turn<const N: usize>(runs: usize, mut ways: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut all: [Vec<f64>; N] = std::array::from_fn(|_| vec![]);
    for _ in 0..runs {
        ways.iter_mut().zip(&mut all).for_each(|(way, runs)| runs.push(way()));
    }
    all.map(median)
}

/// Bytes per second in units of 10⁶.
fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e6
}

/// A connection as a migration makes it within one host, and a thread that drains it with `drain`.
fn connection<T: Send + 'static>(
    drain: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (TcpStream, std::thread::JoinHandle<T>) {
    let (stream, thread) = connection_of_host(drain);
    socket2::SockRef::from(&stream).set_tcp_congestion(b"reno").expect("an option");
    (stream, thread)
}

/// The same with the congestion control that this host gives whoever asks for none.
fn connection_of_host<T: Send + 'static>(
    drain: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (TcpStream, std::thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let (other, _) = listener.accept().expect("its other end");
    (stream, std::thread::spawn(move || drain(other)))
}

/// A connection by TLS, and a thread that drains it.
fn secured<T: Send + 'static>(
    tls: &(SourceTls, TargetTls),
    drain: impl FnOnce(Stream) -> T + Send + 'static,
) -> (Stream, std::thread::JoinHandle<T>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (out, into) = runtime.block_on(async {
        let target = Protection::Tls(tls.1.clone());
        let address = "tcp:127.0.0.1:0".parse().expect("an address");
        let listener = Listener::protected(&address, target).await.expect("a port");
        let source = Protection::Tls(tls.0.clone());
        tokio::join!(stream::dial(listener.address(), &source), stream::accept(&listener))
    });
    let (out, into) = (out.expect("a connection"), into.expect("its other end"));
    (out, std::thread::spawn(move || drain(into)))
}

fn discard(mut stream: impl Read) {
    let mut buffer = vec![0; MIB];
    while stream.read(&mut buffer).expect("bytes") > 0 {}
}

/// Puts what comes into a memory, as the target's lane does. The memory is there before anything is measured.
fn deliver<R: Read>() -> impl FnOnce(R) -> Memory {
    let sink = Memory::new(PAGES, |_, page| page.fill(1));
    move |mut stream| {
        let mut lane = LaneIn::new(0, 1, PAGES);
        loop {
            while lane.next(&sink).expect("frames").is_some() {}
            if lane.at_end() {
                return sink;
            }
            let read = stream.read(lane.space()).expect("bytes");
            lane.filled(read);
        }
    }
}

/// How fast one stream takes writes of 1 MiB until all has been read, of the same MiB each time.
fn plain() -> f64 {
    stream_of(connection(discard))
}

/// The same with what a lane has to send: another MiB each time, which no cache holds.
fn plain_from(memory: &[u8]) -> f64 {
    let (mut stream, thread) = connection(discard);
    let began = Instant::now();
    for piece in memory.chunks(MIB) {
        stream.write_all(piece).expect("written");
    }
    drop(stream);
    thread.join().expect("read");
    rate(memory.len(), began.elapsed())
}

fn stream_of((mut stream, thread): (impl Write, std::thread::JoinHandle<()>)) -> f64 {
    let buffer = vec![7; MIB];
    let began = Instant::now();
    for _ in 0..PAGES as usize * PAGE_BYTES / MIB {
        stream.write_all(&buffer).expect("written");
    }
    drop(stream);
    thread.join().expect("read");
    rate(PAGES as usize * PAGE_BYTES, began.elapsed())
}

/// A round through a lane at most at `limit` bytes/s: rate of pages, and bytes on the wire.
fn lane<T: Send + 'static>(
    encoding: &str,
    rounds: &[&Memory],
    limit: Option<f64>,
    drain: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (f64, u64, T) {
    lane_over(encoding, rounds, limit, connection(drain))
}

fn lane_over<T>(
    encoding: &str,
    rounds: &[&Memory],
    limit: Option<f64>,
    (mut stream, thread): (impl Write, std::thread::JoinHandle<T>),
) -> (f64, u64, T) {
    let mut out = LaneOut::new(&Encoding::parse(encoding).expect("an encoding"));
    let (began, mut wire) = (Instant::now(), 0);
    let mut since = began;
    let mut due = began;
    let mut pages = 0;
    let mut write = |out: &mut LaneOut, wire: &mut u64| {
        let bytes = out.take();
        let made = Instant::now();
        *wire += bytes.len() as u64;
        stream.write_all(bytes).expect("written");
        if let Some(limit) = limit {
            // A link that stood idle does not make up for it, but for what a socket holds.
            due = due.max(made - Duration::from_millis(2))
                + Duration::from_secs_f64(bytes.len() as f64 / limit);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let written = Instant::now();
        let cap = limit.map(|share| Allowance {
            share,
            unused: (written.saturating_duration_since(due).as_secs_f64() * share) as u64,
            kept: (share / 500.0) as u64,
            lost: 0,
            pages,
        });
        pages += out.taken_bytes();
        out.spent(made - since, written - made, Backlog { cap, ..Backlog::default() });
        since = written;
    };
    for (memory, n) in rounds.iter().zip(1..) {
        let last = n as usize == rounds.len();
        // A last round is coded differently, so the end comes as one of its own.
        out.begin_round(n, false);
        for page in 0..PAGES {
            if out.page(page, *memory) {
                write(&mut out, &mut wire);
            }
        }
        out.end_round(last);
        write(&mut out, &mut wire);
    }
    drop(stream);
    let drained = thread.join().expect("read");
    (rate(rounds.len() * PAGES as usize * PAGE_BYTES, began.elapsed()), wire, drained)
}

fn zero_detection() {
    let memory = Memory::new(PAGES, |_, page| page.fill(0));
    let bytes = PAGES as usize * PAGE_BYTES;
    let mut zero = (by_name("zero").expect("a codec").make)();
    let [swept, found] = in_turn(
        RUNS,
        [
            &mut || {
                let began = Instant::now();
                black_box(memory.sum());
                rate(bytes, began.elapsed())
            },
            &mut || {
                let began = Instant::now();
                let mut out = vec![];
                memory.each(|at, page| assert_ne!(zero.encode(at, page, &mut out), Coded::Declined));
                rate(bytes, began.elapsed())
            },
        ],
    );
    println!("zero detection {found:.0} MB/s, read sweep {swept:.0} MB/s: {:.2}", found / swept);
}

fn raw_path() {
    let memory = Memory::new(PAGES, noise);
    let same = memory.to_vec();
    let [of_host, plain, from_memory, sent, sent_zero, put] = in_turn(
        RUNS,
        [
            &mut || stream_of(connection_of_host(discard)),
            &mut plain,
            &mut || plain_from(&same),
            &mut || lane("none", &[&memory], None, discard).0,
            &mut || lane("zero", &[&memory], None, discard).0,
            &mut || lane("zero", &[&memory], None, deliver()).0,
        ],
    );
    let control = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").expect("the host's");
    let control = control.trim();
    println!(
        "plain stream, writes of 1 MiB: {of_host:.0} MB/s by {control}, which is this host's; by reno {plain:.0} from the cache, \
         {from_memory:.0} from memory"
    );
    let of =
        |rate: f64| [of_host, plain, from_memory].map(|stream| format!("{:.2}", rate / stream)).join(", ");
    println!("lane, raw: {sent:.0} MB/s, {} of these streams", of(sent));
    println!("with zero detection {sent_zero:.0} MB/s, {}", of(sent_zero));
    println!("and put into memory at the other end {put:.0} MB/s");
}

fn tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let request = authority::Request {
        names: vec!["127.0.0.1".into()],
        uris: vec![],
        from: std::time::SystemTime::now(),
        days: 1,
    };
    authority::make(folder.path(), &request).expect("certificates");
    let source = SourceTls::load(folder.path(), &[]).expect("the source's");
    let tls = (source, TargetTls::load(folder.path(), &[]).expect("the target's"));
    let memory = Memory::new(PAGES, noise);
    let [plain, sealed, in_clear, by_tls] = in_turn(
        2 * RUNS + 1,
        [
            &mut plain,
            &mut || stream_of(secured(&tls, discard)),
            &mut || lane("zero", &[&memory], None, deliver()).0,
            &mut || lane_over("zero", &[&memory], None, secured(&tls, deliver())).0,
        ],
    );
    println!("stream, writes of 1 MiB: plain {plain:.0} MB/s, TLS {sealed:.0}: {:.2}", sealed / plain);
    println!(
        "lane with zero detection, put into memory: plain {in_clear:.0} MB/s, TLS {by_tls:.0}: {:.2}",
        by_tls / in_clear
    );
}

fn coders() {
    type Fill = fn(u32, &mut PageBytes);
    let contents: [(&str, Fill); 3] = [("text", text), ("random", noise), ("zero", |_, page| page.fill(0))];
    for (name, fill) in contents {
        let memory = Memory::new(PAGES / 4, fill);
        for encoding in [
            "zero",
            "rle",
            "xbzrle",
            "dedup",
            "adaptive",
            "zstd,level=-5",
            "zstd,level=-1",
            "zstd",
            "zstd,level=3",
            "zstd,level=6",
            "zstd,level=9",
        ] {
            one_coder(name, encoding, &memory, &memory, PAGES / 4, 1);
        }
    }
    let memory = Memory::new(PAGES / 4, text);
    let next = Memory::new(PAGES / 4, |at, page| {
        text(at, page);
        page[..8].copy_from_slice(&u64::from(at).to_le_bytes());
    });
    for encoding in ["xbzrle", "xbzrle,zstd"] {
        one_coder("8 bytes written", encoding, &memory, &next, PAGES / 4, 2);
    }
}

/// Rate and ratio of the last of `rounds` rounds, without a socket.
fn one_coder(content: &str, encoding: &str, first: &Memory, next: &Memory, pages: u32, rounds: u32) {
    let mut wire = 0;
    let run = |wire: &mut u64| {
        let mut out = LaneOut::new(&Encoding::parse(encoding).expect("an encoding"));
        let mut time = Duration::ZERO;
        for round in 1..=rounds {
            out.begin_round(round, false);
            let began = Instant::now();
            for page in 0..pages {
                if out.page(page, if round == 1 { first } else { next }) {
                    black_box(out.take());
                }
            }
            *wire = out.end_round(round == rounds).wire_bytes;
            time = began.elapsed();
            out.take();
        }
        rate(pages as usize * PAGE_BYTES, time)
    };
    let [speed] = in_turn(3, [&mut || run(&mut wire)]);
    let ratio = f64::from(pages) * PAGE_BYTES as f64 / wire as f64;
    println!("{content:>16} {encoding:>14}: {speed:7.0} MB/s, {ratio:8.2} : 1");
}

fn auto() {
    let (texts, noises) = (Memory::new(PAGES, text), Memory::new(PAGES, noise));
    for (name, memory) in [("text", &texts), ("random", &noises)] {
        let [raw, auto] = in_turn(
            2 * RUNS,
            [&mut || lane("zero", &[memory], None, deliver()).0, &mut || {
                lane("auto", &[memory], None, deliver()).0
            }],
        );
        println!("{name}, fast link: raw {raw:.0} MB/s, auto {auto:.0}: {:.3}", auto / raw);
        for (limit, runs) in [(500e6, 3), (125e6, 3), (62.5e6, 1), (12.5e6, 1)] {
            let round = [memory];
            let [raw, zstd, auto] = in_turn(
                runs,
                [
                    &mut || lane("zero", &round, Some(limit), deliver()).0,
                    &mut || lane("zero,zstd", &round, Some(limit), deliver()).0,
                    &mut || lane("auto", &round, Some(limit), deliver()).0,
                ],
            );
            println!(
                "{name}, {:.1} MB/s: raw {raw:.0} MB/s of pages, zstd {zstd:.0}, auto {auto:.0}: {:.2} of raw",
                limit / 1e6,
                auto / raw
            );
        }
    }
    let written = Memory::new(PAGES, |at, page| {
        text(at, page);
        page[..8].copy_from_slice(&u64::from(at).to_le_bytes());
    });
    for limit in [125e6, 12.5e6] {
        let (_, _, arrived) = lane("auto", &[&texts, &written], Some(limit), deliver());
        assert!(arrived.same(&written), "what arrived is what was sent");
    }
}

impl PageSource for Memory {
    fn pages(&self) -> u32 {
        self.len()
    }

    fn read(&self, page: u32, into: &mut PageBytes) {
        self.copy(page, into);
    }

    fn touched(&self, into: &mut PageSet) -> Result<(), HostError> {
        into.union(&PageSet::full(self.len()));
        Ok(())
    }
}

impl PageSink for Memory {
    fn pages(&self) -> u32 {
        self.len()
    }

    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        self.store(page, bytes);
        Ok(())
    }

    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError> {
        self.copy(page, into);
        Ok(())
    }

    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        self.store(page, &[0; PAGE_BYTES]);
        Ok(())
    }
}
