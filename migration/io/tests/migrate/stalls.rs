//! Peers that stop: they are found, named, and never in the way of who has had enough of them.

use std::{
    io::{ErrorKind, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use godwit_migration::{
    cancellation::Cancellation,
    limits::BEAT_EVERY,
    wire::{LaneHello, Prepare},
};
use godwit_transport::checking;

use super::{
    parting::{address_of, hear, open_for_pages, say},
    *,
};

/// A target that lets lanes in, reads nothing of them, and says nothing more unless it `beats`.
fn never_reads(lanes: usize, beats: bool, stop: Arc<AtomicBool>) -> (Address, JoinHandle<()>) {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap()).unwrap();
            let (mut control, _) = listener.accept().await.unwrap();
            let hello = HelloReply { version: 1, capabilities: 0, software: "x".into() };
            let start = [
                MAGIC.as_slice(),
                &encode_message(&TargetMessage::Hello(hello)),
                &encode_message(&TargetMessage::Prepared),
            ];
            control.write_all(&start.concat()).await.unwrap();
            let mut open = vec![];
            for _ in 0..lanes {
                open.push(listener.accept().await.unwrap());
            }
            control.write_all(&encode_message(&TargetMessage::LanesOpen)).await.unwrap();
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if beats && control.write_all(&encode_message(&TargetMessage::Beat)).await.is_err() {
                    break;
                }
            }
        });
    });
    (told.recv().unwrap(), thread)
}

/// Moves a guest of more than sockets hold to a target that never reads; cancelled when the lanes stand still.
fn stuck(lanes: u8, beats: bool, cancel: Option<Cancellation>) -> (Class, String) {
    let stop = Arc::new(AtomicBool::new(false));
    let (to, thread) = never_reads(usize::from(lanes), beats, stop.clone());
    let mut guest = Guest::new(PAGES * 4, PACE);
    for page in 0..PAGES * 4 {
        guest.memory.write(page, u64::from(page) + 1);
    }
    guest.start();
    let overrides = preset::Overrides { encode: Some("none".into()), ..preset::Overrides::default() };
    let scheme = Scheme::parse("precopy", &overrides).unwrap();
    let options = Options { scheme, timeout: None, ..options(&to, "precopy", lanes) };
    let handle = Handle::default();
    if let Some(why) = cancel {
        let handle = handle.clone();
        std::thread::spawn(move || {
            let sent = || handle.progress().map_or(0, |progress| progress.round_sent_bytes);
            let mut before = 0;
            loop {
                std::thread::sleep(Duration::from_millis(300));
                let now = sent();
                if now > 0 && now == before {
                    return handle.cancel(why);
                }
                before = now;
            }
        });
    }
    let report = migrate(&options, &mut guest, &handle);
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    assert!(guest.is_running() && !guest.given_up);
    reason(&report)
}

#[test]
fn a_cancellation_is_heard_while_lanes_cannot_send() {
    for lanes in [1, 3] {
        let (class, words) = stuck(lanes, false, Some(Cancellation::Request));
        assert_eq!(class, Class::Cancelled);
        assert!(words.contains("cancelled on request (in phase rounds, round 1)"), "{words}");
    }
}

#[test]
fn a_target_that_stops_in_a_round_is_found_and_named() {
    let (class, words) = stuck(1, false, None);
    assert_eq!(class, Class::Link);
    assert!(words.contains("the target has been silent for 10 s (in phase rounds, round 1)"), "{words}");
}

#[test]
fn a_target_that_beats_and_does_not_read_is_found_too() {
    let (class, words) = stuck(1, true, None);
    assert_eq!(class, Class::Link);
    assert!(words.contains("the target has taken no byte for 10 s (in phase rounds, round 1)"), "{words}");
}

/// A source that says what is to be said until pages are due, and then `then`s for as long as it is heard.
fn source_until_rounds(to: &Address, then: &[u8]) {
    let host = to.to_string().strip_prefix("tcp:").unwrap().to_owned();
    runtime().block_on(async {
        let mut control = TcpStream::connect(&host).await.unwrap();
        let hello =
            Hello { oldest: 1, newest: 1, capabilities: 0, session: 5, replaces: 0, software: "x".into() };
        let prepare = Prepare { shape: shape(PAGES), lanes: 1 };
        let start = [
            MAGIC.as_slice(),
            &encode_message(&SourceMessage::Hello(hello)),
            &encode_message(&SourceMessage::Prepare(Box::new(prepare))),
        ];
        control.write_all(&start.concat()).await.unwrap();
        let prepared = encode_message(&TargetMessage::Prepared);
        let mut heard = vec![];
        while !heard.windows(prepared.len()).any(|bytes| bytes == prepared) {
            assert!(control.read_buf(&mut heard).await.unwrap() > 0);
        }
        let mut lane = TcpStream::connect(&host).await.unwrap();
        let hello = encode_message(&SourceMessage::Lane(LaneHello { session: 5, lane: 0 }));
        lane.write_all(&[MAGIC.as_slice(), &hello].concat()).await.unwrap();
        // On the control link the beginning of a message of 4 KiB.
        for (&byte, word) in then.iter().cycle().zip([0, 16].into_iter().chain(std::iter::repeat(0))) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if lane.write_all(&[byte]).await.is_err() || control.write_all(&[word]).await.is_err() {
                return;
            }
        }
        let _ = control.read_to_end(&mut vec![]).await;
    });
}

#[test]
fn a_source_that_stops_or_says_a_byte_a_second_is_found_and_named() {
    let tries: Vec<_> = [&[][..], &[1][..]]
        .into_iter()
        .map(|then| {
            let (to, thread) = target(Place::default(), Handle::default());
            (std::thread::spawn(move || source_until_rounds(&to, then)), thread)
        })
        .collect();
    for (source, target) in tries {
        let (received, place) = target.join().unwrap();
        let error = received.unwrap_err();
        assert_eq!(error.class, Class::Link);
        assert!(
            error.to_string().contains("the source has been silent for 10 s (in phase rounds"),
            "{error}"
        );
        assert!(place.discarded);
        source.join().unwrap();
    }
}

#[test]
fn a_target_that_is_asked_says_every_reason_and_waits_on() {
    for refusals in [vec![], vec!["no avx2".to_owned(), "too little memory".into()]] {
        let handle = Handle::default();
        let (to, thread) = target(Place { refusals: refusals.clone(), ..Place::default() }, handle.clone());
        for _ in 0..2 {
            let answer = runtime().block_on(checking::check(
                &options(&to, "precopy", 2),
                shape(PAGES),
                &Handle::default(),
            ));
            assert_eq!(answer.unwrap().reasons, refusals);
        }
        handle.cancel(Cancellation::Request);
        let (received, place) = thread.join().unwrap();
        assert_eq!(received.unwrap_err().reason, "cancelled on request, while waiting for a source");
        assert!(place.memory.is_none() && !place.runs, "nothing was made");
    }
}

#[test]
fn a_source_says_nothing_more_after_go() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = address_of(&listener);
    let target = std::thread::spawn(move || {
        let (mut control, mut lane) = open_for_pages(&listener);
        let drain = std::thread::spawn(move || std::io::copy(&mut lane, &mut std::io::sink()));
        while !matches!(hear(&mut control), SourceMessage::State(_)) {}
        say(&mut control, &TargetMessage::Ready);
        while hear::<SourceMessage>(&mut control) != SourceMessage::Go {}
        // Long enough for two beats. What is not read here when the link goes would take the last word with it.
        control.set_read_timeout(Some(BEAT_EVERY * 5 / 2)).unwrap();
        let more = control.read(&mut [0]).map_err(|error| error.kind());
        say(&mut control, &TargetMessage::Running { cpu_us: 0 });
        drop(control);
        drain.join().unwrap().unwrap();
        more
    });
    let mut guest = Guest::new(PAGES, PACE);
    guest.start();
    let report = migrate(&options(&to, "non-live", 1), &mut guest, &Handle::default());
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.error);
    assert_eq!(target.join().unwrap(), Err(ErrorKind::WouldBlock), "silence");
}
