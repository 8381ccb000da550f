//! Whole migrations over real sockets, and everything that may go wrong on the way.

#[path = "migrate/bandwidth.rs"]
mod bandwidth;
mod common;
#[path = "migrate/free.rs"]
mod free;
#[path = "migrate/parting.rs"]
mod parting;
#[path = "migrate/stalls.rs"]
mod stalls;
#[path = "migrate/versions.rs"]
mod versions;

use std::{sync::atomic::Ordering, thread::JoinHandle, time::Duration};

use common::{Guest, Place, shape};
use godwit_migration::{
    convergence::ladder::Escalation,
    error::{Class, MigrationError},
    preset::{self, PRESETS, Scheme},
    report::{Outcome, Report},
    source::OnTimeout,
    wire::{Hello, HelloReply, MAGIC, SourceMessage, TargetMessage, encode_message},
};
use godwit_transport::{
    Listener,
    address::Address,
    handle::Handle,
    incoming::{self, Received},
    marks::Marks,
    outgoing::{self, Options, new_session},
    protection::Protection,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PAGES: u32 = 4096;
const PACE: Duration = Duration::from_micros(50);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn options(to: &Address, preset: &str, lanes: u8) -> Options {
    Options {
        session: new_session(),
        replaces: 0,
        to: to.clone(),
        protection: Protection::Local,
        scheme: Scheme::of(preset::by_name(preset).unwrap()),
        lanes,
        downtime: Duration::from_millis(50),
        timeout: Some(Duration::from_secs(30)),
        on_timeout: OnTimeout::Cancel,
        marks: Marks::default(),
        send_buffer: None,
        escalate: Escalation::default(),
    }
}

/// What a target came to, and the place as it left it.
type Verdict = (Result<Received, MigrationError>, Place);

/// A target on a thread of its own: where it listens, and what becomes of it.
fn target(mut place: Place, handle: Handle) -> (Address, JoinHandle<Verdict>) {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = Listener::bind(&"tcp:127.0.0.1:0".parse().unwrap()).await.unwrap();
            tell.send(listener.address().clone()).unwrap();
            let received = incoming::receive(&listener, &mut place, &handle).await;
            (received, place)
        })
    });
    (told.recv().unwrap(), thread)
}

fn migrate(options: &Options, guest: &mut Guest, handle: &Handle) -> Report {
    runtime().block_on(outgoing::migrate(options, guest, handle))
}

fn reason(report: &Report) -> (Class, String) {
    let error = report.error.as_ref().expect("a failed migration");
    (error.class, error.to_string())
}

/// After a failure: the guest runs here, is not tracked, and can be moved at once.
fn still_here(guest: &mut Guest) {
    assert!(guest.is_running() && !guest.given_up && !guest.memory.tracking());
    *guest.memory.read_delay.lock().unwrap() = Duration::ZERO;
    moves(guest, "precopy", 1);
}

/// Moves `guest` and compares what arrived with what it left.
fn moves(guest: &mut Guest, preset: &str, lanes: u8) -> Report {
    let (to, thread) = target(Place::default(), Handle::default());
    let report = migrate(&options(&to, preset, lanes), guest, &Handle::default());
    let (received, place) = thread.join().unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.error);
    assert_eq!(received.unwrap().pages, report.pages.sent);
    assert!(place.runs && guest.given_up && !guest.is_running());
    assert_eq!(place.state.unwrap().writes, guest.writes.load(Ordering::SeqCst));
    assert!(
        place.memory.unwrap().content() == guest.memory.content(),
        "every page as it was when the guest stopped"
    );
    report
}

#[test]
fn a_writing_guest_arrives_whole_by_every_preset_and_lane_count() {
    for preset in PRESETS {
        for lanes in [1, 2, 5] {
            let mut guest = Guest::new(PAGES, PACE);
            guest.start();
            std::thread::sleep(Duration::from_millis(50));
            let report = moves(&mut guest, preset.name, lanes);
            assert_eq!(report.rounds.last().unwrap().owed_after, 0);
            assert_eq!(report.rounds.iter().map(|r| r.sent_pages).sum::<u64>(), report.pages.sent);
            assert!(report.downtime_s.total > 0.0 && report.downtime_s.total < report.total_s);
        }
    }
}

#[test]
fn what_is_written_right_behind_its_copy_arrives() {
    for preset in ["auto", "precopy", "clark2005"] {
        for lanes in [1, 2] {
            let mut guest = Guest::new(PAGES, PACE);
            (0..PAGES).for_each(|page| guest.memory.write(page, u64::from(page) + 1));
            guest.memory.writes_behind.store(u64::from(PAGES) / 2, Ordering::SeqCst);
            let report = moves(&mut guest, preset, lanes);
            assert!(report.pages.sent > u64::from(PAGES), "{preset}: some had to go again");
        }
    }
}

#[test]
fn what_was_never_touched_is_not_sent() {
    let mut guest = Guest::new(PAGES, PACE);
    guest.memory.write(17, 1);
    let report = moves(&mut guest, "precopy", 2);
    assert_eq!((report.pages.sent, report.pages.untouched), (1, u64::from(PAGES) - 1));
}

#[test]
fn over_a_unix_socket_whose_file_is_removed_afterwards() {
    let path = std::env::temp_dir().join(format!("godwit-transport-test-{}.sock", std::process::id()));
    let address = Address::Unix(path.clone());
    let (bound, listening) = std::sync::mpsc::channel();
    let to = address.clone();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = Listener::bind(&to).await.unwrap();
            let second = Listener::bind(&to).await.err().expect("the path is in use").to_string();
            assert!(second.contains("another process listens"), "{second}");
            bound.send(()).unwrap();
            let mut place = Place::default();
            incoming::receive(&listener, &mut place, &Handle::default()).await.unwrap();
        });
    });
    listening.recv().unwrap();
    let report = migrate(&options(&address, "precopy", 2), &mut Guest::new(64, PACE), &Handle::default());
    thread.join().unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(!path.exists());
}

#[test]
fn a_target_that_refuses_gives_every_reason_and_the_guest_stays() {
    let place = Place { refusals: vec!["too little memory".into(), "no avx2".into()], ..Place::default() };
    let (to, thread) = target(place, Handle::default());
    let mut guest = Guest::new(PAGES, PACE);
    guest.start();
    let report = migrate(&options(&to, "precopy", 1), &mut guest, &Handle::default());
    let (class, text) = reason(&report);
    assert_eq!(class, Class::Incompatible);
    assert!(text.contains("too little memory; no avx2"), "{text}");
    assert_eq!(thread.join().unwrap().0.unwrap_err().class, Class::Incompatible);
    still_here(&mut guest);
}

#[test]
fn a_target_that_cannot_run_the_guest_gives_it_back() {
    let place = Place { run_error: Some("KVM says no".into()), ..Place::default() };
    let (to, thread) = target(place, Handle::default());
    let mut guest = Guest::new(PAGES, PACE);
    guest.start();
    let report = migrate(&options(&to, "precopy", 1), &mut guest, &Handle::default());
    assert!(reason(&report).1.contains("gave the guest back: KVM says no"), "{:?}", report.error);
    assert!(thread.join().unwrap().1.discarded);
    still_here(&mut guest);
}

#[test]
fn cancelled_in_the_middle_of_a_round_both_sides_know_why() {
    let (to, thread) = target(Place::default(), Handle::default());
    let mut guest = Guest::new(PAGES, PACE);
    (0..PAGES).for_each(|page| guest.memory.write(page, 1));
    *guest.memory.read_delay.lock().unwrap() = Duration::from_millis(1);
    guest.start();
    let handle = Handle::default();
    let canceller = handle.clone();
    let thread2 = std::thread::spawn(move || {
        while canceller.progress().is_none_or(|p| p.round_sent_bytes == 0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        canceller.cancel(godwit_migration::cancellation::Cancellation::Request);
    });
    let report = migrate(&options(&to, "precopy", 2), &mut guest, &handle);
    thread2.join().unwrap();
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert_eq!(report.error.as_ref().unwrap().round, 1, "in the middle of the first round");
    let (received, place) = thread.join().unwrap();
    assert!(received.unwrap_err().reason.contains("cancelled on request"));
    assert!(place.discarded && !place.runs);
    still_here(&mut guest);
}

#[test]
fn cancelled_at_the_target_the_source_goes_on() {
    let handle = Handle::default();
    let (to, thread) = target(Place::default(), handle.clone());
    let mut guest = Guest::new(PAGES, PACE);
    (0..PAGES).for_each(|page| guest.memory.write(page, 1));
    *guest.memory.read_delay.lock().unwrap() = Duration::from_millis(1);
    guest.start();
    let watch = Handle::default();
    let watched = watch.clone();
    let canceller = std::thread::spawn(move || {
        while watched.progress().is_none_or(|p| p.round_sent_bytes == 0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        handle.cancel(godwit_migration::cancellation::Cancellation::Request);
    });
    let report = migrate(&options(&to, "precopy", 1), &mut guest, &watch);
    canceller.join().unwrap();
    let (class, text) = reason(&report);
    assert!(matches!(class, Class::Peer | Class::Link), "{text}");
    assert_eq!(thread.join().unwrap().0.unwrap_err().class, Class::Cancelled);
    still_here(&mut guest);
}

#[test]
fn a_refused_connection_says_where() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to: Address = format!("tcp:{free}").parse().unwrap();
    let mut guest = Guest::new(PAGES, PACE);
    guest.start();
    let (class, text) = reason(&migrate(&options(&to, "precopy", 1), &mut guest, &Handle::default()));
    assert_eq!(class, Class::Link);
    assert!(text.contains(&format!("cannot connect to {to}")) && text.contains("refused"), "{text}");
    still_here(&mut guest);
}

/// A peer that does `behave` with the first connection.
fn stranger<F: Future<Output = ()>>(
    behave: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (Address, JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async {
            let (stream, _) = TcpListener::from_std(listener).unwrap().accept().await.unwrap();
            behave(stream).await;
        });
    });
    (to, thread)
}

fn fails_with(to: &Address, class: Class, words: &str) {
    let mut guest = Guest::new(PAGES, PACE);
    guest.start();
    let report = migrate(&options(to, "precopy", 1), &mut guest, &Handle::default());
    let (found, text) = reason(&report);
    assert!(found == class && text.contains(words), "{found:?}: {text}");
    still_here(&mut guest);
}

#[test]
fn a_peer_that_speaks_another_protocol_is_told_apart() {
    let (to, thread) = stranger(|mut stream| async move {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut vec![]).await;
    });
    fails_with(&to, Class::Protocol, "it began with \"SSH-2.0-\"");
    thread.join().unwrap();
}

#[test]
fn a_peer_that_accepts_and_says_nothing_times_out() {
    let (to, thread) = stranger(|mut stream| async move {
        let _ = stream.read_to_end(&mut vec![]).await;
    });
    fails_with(&to, Class::Link, "has not answered in time");
    thread.join().unwrap();
}

/// Says `messages` to a target after the magic, and gives its answers and its verdict.
fn say_to_target(bytes: &[u8]) -> (Vec<u8>, Result<Received, MigrationError>) {
    let (to, thread) = target(Place::default(), Handle::default());
    let Address::Tcp(host) = to else { unreachable!("targets listen on tcp") };
    let answer = runtime().block_on(async {
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer).await;
        answer
    });
    (answer, thread.join().unwrap().0)
}

#[test]
fn a_source_that_skips_a_step_or_announces_nonsense_is_refused() {
    let hello =
        Hello { oldest: 1, newest: 1, capabilities: 0, session: 1, replaces: 0, software: "x".into() };
    let start = [MAGIC.as_slice(), &encode_message(&SourceMessage::Hello(hello))].concat();
    let prepare = |pages, lanes| {
        let prepare = godwit_migration::wire::Prepare { shape: shape(pages), lanes };
        encode_message(&SourceMessage::Prepare(Box::new(prepare)))
    };
    let cases = [
        (encode_message(&SourceMessage::Go), Class::Protocol, "said Go in phase prepare"),
        (prepare(1, 1), Class::Incompatible, "memory region 0x0+0x1000 is misplaced"),
        (prepare(64, 0), Class::Incompatible, "0 lanes"),
        (vec![0xff; 100], Class::Protocol, "over the limit"),
    ];
    for (message, class, words) in cases {
        let error = say_to_target(&[start.clone(), message].concat()).1.unwrap_err();
        assert!(error.class == class && error.reason.contains(words), "{error}");
    }
}

#[test]
fn a_second_source_is_turned_away_and_the_first_goes_on() {
    let (to, thread) = target(Place::default(), Handle::default());
    let mut first = Guest::new(PAGES, PACE);
    (0..PAGES).for_each(|page| first.memory.write(page, 1));
    *first.memory.read_delay.lock().unwrap() = Duration::from_micros(100);
    let handle = Handle::default();
    let watch = handle.clone();
    let opts = options(&to, "precopy", 1);
    let mover = std::thread::spawn(move || migrate(&opts, &mut first, &handle));
    while watch.progress().is_none_or(|p| p.round == 0) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = migrate(&options(&to, "precopy", 1), &mut Guest::new(64, PACE), &Handle::default());
    assert!(
        reason(&report).1.contains("another migration to this target is under way"),
        "{:?}",
        report.error
    );
    assert_eq!(mover.join().unwrap().outcome, Outcome::Completed);
    thread.join().unwrap().0.unwrap();
}

#[test]
fn strangers_do_not_end_the_wait() {
    let (to, thread) = target(Place::default(), Handle::default());
    let Address::Tcp(host) = to.clone() else { unreachable!("targets listen on tcp") };
    for noise in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![], [MAGIC.as_slice(), &[0xff; 64]].concat()] {
        let mut stream = std::net::TcpStream::connect(&host).unwrap();
        std::io::Write::write_all(&mut stream, &noise).unwrap();
    }
    let report = migrate(&options(&to, "precopy", 2), &mut Guest::new(64, PACE), &Handle::default());
    assert_eq!(report.outcome, Outcome::Completed);
    thread.join().unwrap().0.unwrap();
}

#[test]
fn what_does_not_converge_in_time_is_cancelled_or_forced() {
    for (on_timeout, outcome) in
        [(OnTimeout::Cancel, Outcome::Failed), (OnTimeout::Force, Outcome::Completed)]
    {
        let (to, thread) = target(Place::default(), Handle::default());
        let mut guest = Guest::new(PAGES, PACE);
        // Each page takes long enough for the guest to write another.
        *guest.memory.read_delay.lock().unwrap() = Duration::from_millis(1);
        guest.start();
        let impatient = Options {
            downtime: Duration::from_nanos(1),
            timeout: Some(Duration::from_millis(300)),
            on_timeout,
            ..options(&to, "precopy", 1)
        };
        let report = migrate(&impatient, &mut guest, &Handle::default());
        assert_eq!(report.outcome, outcome, "{:?}", report.error);
        thread.join().unwrap().0.err();
        if outcome == Outcome::Failed {
            assert_eq!(reason(&report).0, Class::Timeout);
            still_here(&mut guest);
        }
    }
}
