//! Certificates, targets that are listened to, and migrations that should come or not come to something.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use godwit_migration::{
    convergence::ladder::Escalation,
    error::Class,
    preset::{self, Scheme},
    report::Outcome,
    source::OnTimeout,
};
use godwit_transport::{
    Listener,
    address::Address,
    handle::Handle,
    incoming,
    marks::Marks,
    outgoing::{self, Options, new_session},
    protection::Protection,
    tls::{Peer, SourceTls, TargetTls, authority},
};

use crate::common::{Guest, Place};

pub const DAY: Duration = Duration::from_secs(86400);
/// Longest wait for a word. Generous: a busy machine is no defect.
const PATIENCE: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_micros(200);

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A folder with an authority and the certificates of a host.
pub struct Set(tempfile::TempDir);

impl Set {
    pub fn of(names: &[&str]) -> Self {
        Self::new(names, &[], SystemTime::now(), 1)
    }

    pub fn new(names: &[&str], uris: &[&str], from: SystemTime, days: u32) -> Self {
        let set = Self(tempfile::tempdir().unwrap());
        set.make(names, uris, from, days);
        set
    }

    /// A host with the same authority.
    pub fn another(&self, names: &[&str], from: SystemTime, days: u32) -> Self {
        let set = Self(tempfile::tempdir().unwrap());
        set.copy_from(self, &["ca-cert.pem", "ca-key.pem"]);
        set.make(names, &[], from, days);
        set
    }

    fn make(&self, names: &[&str], uris: &[&str], from: SystemTime, days: u32) {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let request = authority::Request { names: owned(names), uris: owned(uris), from, days };
        authority::make(self.folder(), &request).unwrap();
    }

    pub fn copy_from(&self, other: &Self, files: &[&str]) {
        for file in files {
            std::fs::copy(other.folder().join(file), self.folder().join(file)).unwrap();
        }
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn source(&self, peers: &[&str]) -> Protection<SourceTls> {
        Protection::Tls(SourceTls::load(self.folder(), &names(peers)).unwrap())
    }

    pub fn target(&self, peers: &[&str]) -> Protection<TargetTls> {
        Protection::Tls(TargetTls::load(self.folder(), &names(peers)).unwrap())
    }
}

fn names(peers: &[&str]) -> Vec<Peer> {
    peers.iter().map(|name| name.parse().unwrap()).collect()
}

/// What a thread has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A target on a thread of its own, which waits until a guest has come or it is cancelled.
pub struct Target {
    pub address: Address,
    handle: Handle,
    log: Log,
    thread: Option<JoinHandle<Place>>,
}

/// A target that is over.
pub struct Ended {
    pub place: Place,
    /// What it warned of.
    pub said: String,
}

impl Target {
    pub fn start(protection: Protection<TargetTls>) -> Self {
        Self::at(&"tcp:127.0.0.1:0".parse().unwrap(), protection)
    }

    pub fn at(address: &Address, protection: Protection<TargetTls>) -> Self {
        let (handle, log) = (Handle::default(), Log::default());
        let (tell, told) = std::sync::mpsc::channel();
        let (address, stop, written) = (address.clone(), handle.clone(), log.clone());
        let thread = std::thread::spawn(move || {
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
                .with_writer(move || written.clone())
                .finish();
            let _logging = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
            runtime().block_on(async {
                let listener = Listener::protected(&address, protection).await.unwrap();
                tell.send(listener.address().clone()).unwrap();
                loop {
                    let mut place = Place::default();
                    match incoming::receive(&listener, &mut place, &stop).await {
                        Ok(_) => return place,
                        Err(error) if error.class == Class::Cancelled => return place,
                        Err(_) => {}
                    }
                }
            })
        });
        Self { address: told.recv().unwrap(), handle, log, thread: Some(thread) }
    }

    /// Where it listens, for a socket of the test's own.
    pub fn socket(&self) -> TcpStream {
        let Address::Tcp(host) = &self.address else { unreachable!("it listens on tcp") };
        TcpStream::connect(host).unwrap()
    }

    /// Waits until it has warned of `words`.
    pub fn heard(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log.text().contains(words) {
            assert!(Instant::now() < deadline, "not heard: {words}\nheard: {}", self.log.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a guest has come.
    pub fn end(mut self) -> Ended {
        let place = self.thread.take().unwrap().join().unwrap();
        Ended { place, said: self.log.text() }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.handle.cancel(godwit_migration::cancellation::Cancellation::Request);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn options(to: &Address, protection: Protection<SourceTls>, lanes: u8) -> Options {
    Options {
        session: new_session(),
        replaces: 0,
        to: to.clone(),
        protection,
        scheme: Scheme::of(preset::by_name("precopy").unwrap()),
        lanes,
        downtime: Duration::from_millis(50),
        timeout: Some(Duration::from_secs(30)),
        on_timeout: OnTimeout::Cancel,
        marks: Marks::default(),
        send_buffer: None,
        escalate: Escalation::default(),
    }
}

/// Moves a guest that writes; the target must not have moved on to another.
pub fn moves(target: &Target, protection: Protection<SourceTls>, lanes: u8) -> Guest {
    let mut guest = Guest::new(2048, PACE);
    (0..1024).for_each(|page| guest.memory.write(page, 7));
    guest.start();
    moves_guest(&target.address, protection, lanes, &mut guest);
    guest
}

pub fn moves_guest(to: &Address, protection: Protection<SourceTls>, lanes: u8, guest: &mut Guest) {
    let report =
        runtime().block_on(outgoing::migrate(&options(to, protection, lanes), guest, &Handle::default()));
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.error);
}

/// Tries to move a guest to where it cannot go, and gives the reason. The guest goes on.
pub fn fails(to: &Address, protection: Protection<SourceTls>, class: Class) -> String {
    let mut guest = Guest::new(64, PACE);
    guest.start();
    let report =
        runtime().block_on(outgoing::migrate(&options(to, protection, 1), &mut guest, &Handle::default()));
    assert!(guest.is_running() && !guest.given_up && !guest.memory.tracking());
    let error = report.error.expect("a failed migration");
    assert_eq!(error.class, class, "{error}");
    error.to_string()
}

pub fn refused(target: &Target, protection: Protection<SourceTls>, class: Class) -> String {
    fails(&target.address, protection, class)
}

/// Stands between a source and a target, and writes down what the source says.
pub struct Tap {
    pub address: Address,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Tap {
    /// For a control link and one lane.
    pub fn to(target: &Address) -> Self {
        let Address::Tcp(target) = target.clone() else { unreachable!("it listens on tcp") };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
        let thread = std::thread::spawn(move || {
            let links: Vec<_> = (0..2)
                .map(|_| {
                    let (near, _) = listener.accept().unwrap();
                    let far = TcpStream::connect(&target).unwrap();
                    let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut back_from, &mut back_to);
                        let _ = back_to.shutdown(Shutdown::Write);
                    });
                    std::thread::spawn(move || record(near, far))
                })
                .collect();
            links.into_iter().map(|link| link.join().unwrap()).collect()
        });
        Self { address, thread }
    }

    /// What went over the control link and over the lane.
    pub fn end(self) -> Vec<Vec<u8>> {
        self.thread.join().unwrap()
    }
}

fn record(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
    let (mut recorded, mut buffer) = (vec![], [0; 16 << 10]);
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        recorded.extend_from_slice(&buffer[..bytes]);
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    recorded
}
