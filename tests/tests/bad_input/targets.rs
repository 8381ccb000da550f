//! Targets that are not there, not godwit, or not up to the guest. The source says why, and its guest goes on.

use std::net::TcpListener;

use godwit_migration::{
    limits::PROTOCOL,
    report::Outcome,
    wire::{HelloReply, SourceMessage, TargetMessage},
};
use godwit_tests::{
    journey::Journey,
    peer::Post,
    program::{PROMPT, alone, has},
    site::{Listen, Site},
    verdict::Verdict,
    vmm::{Migration, Vmm},
};

fn boot(site: &Site) -> Vmm {
    site.boot("memory=4M rate=500", &["--memory", "64M", "--cpus", "2"])
}

/// The guest has not noticed; the source has said once for each failure what there was to say.
fn unharmed(source: &Vmm, failures: usize) {
    source.wait_more_beats(3);
    let said = source.program.err.text();
    assert_eq!(said.lines().count(), failures, "{said}");
    assert!(said.lines().all(|line| line.contains("the guest goes on here")), "{said}");
    Verdict::of(&source.program.out.text()).unwrap();
}

fn failed(source: &Vmm, to: &str, words: &[&str]) {
    let migration = source.migrate(to, &[]);
    has(migration.failed(Outcome::Failed), words);
}

#[test]
fn nobody_listens() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = format!("tcp:{port}");
    failed(&source, &refusing, &["cannot connect", &refusing, "refused", "[link]"]);
    failed(&source, "unix:no/such/socket", &["cannot connect", "unix:no/such/socket", "[link]"]);
    failed(&source, "tcp:no-such-host.invalid:4000", &["cannot connect", "no-such-host.invalid", "[link]"]);
    unharmed(&source, 3);
    let mut journey = Journey::begin(source);
    journey.hop(&site, Listen::Tcp, &[]);
}

#[test]
fn somebody_listens_and_says_nothing() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let post = Post::open();
    failed(&source, &post.address(), &["has not answered in time", "[link]"]);
    has(
        source.migrate(&post.address(), &["--timeout", "500ms"]).failed(Outcome::Failed),
        &["did not get there in the 0.5 s it was given", "[timeout]"],
    );
    unharmed(&source, 2);
}

#[test]
fn somebody_hangs_up() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let post = Post::open();
    let mut migration = source.begin_migration(&post.address(), &[]);
    drop(post.accept());
    has(Migration::end(&mut migration).failed(Outcome::Failed), &["the control link", "[link]"]);
    let mut migration = source.begin_migration(&post.address(), &[]);
    drop(post.greet());
    has(Migration::end(&mut migration).failed(Outcome::Failed), &["the control link", "[link]"]);
    unharmed(&source, 2);
}

#[test]
fn somebody_speaks_another_protocol() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let post = Post::open();
    for (answer, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], ["does not speak godwit's migration protocol", "HTTP"]),
        (&b"\x00\x1b[2J\xff"[..], ["does not speak godwit's migration protocol", "\\x00"]),
        (&b"godwit\r\n\xff\xff\xff\xff\0\0\0\0"[..], ["4294967295 bytes", "over the limit"]),
        (&b"godwit\r\n\x01\0\0\0\0\0\0\0\x07"[..], ["control message", "checksum"]),
    ] {
        let mut migration = source.begin_migration(&post.address(), &[]);
        post.accept().write(answer);
        let migration = Migration::end(&mut migration);
        has(migration.failed(Outcome::Failed), &words);
        has(migration.failed(Outcome::Failed), &["[protocol]"]);
    }
    unharmed(&source, 4);
}

#[test]
fn the_target_speaks_another_version() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let post = Post::open();
    let mut migration = source.begin_migration(&post.address(), &[]);
    let mut link = post.accept();
    let reply =
        HelloReply { version: PROTOCOL.1 + 7, capabilities: 0, software: "godwit of tomorrow".into() };
    link.say_first(&TargetMessage::Hello(reply));
    has(
        Migration::end(&mut migration).failed(Outcome::Failed),
        &["protocol version 8", "not offered", "[protocol]"],
    );

    let mut migration = source.begin_migration(&post.address(), &[]);
    let mut link = post.accept();
    link.say_first(&TargetMessage::Refused(vec!["I speak versions 8 to 9".into()]));
    let migration = Migration::end(&mut migration);
    has(
        migration.failed(Outcome::Failed),
        &["the target refuses: I speak versions 8 to 9", "[incompatible]"],
    );
    unharmed(&source, 2);
}

#[test]
fn the_target_has_too_little_memory() {
    let _turn = alone();
    let site = Site::open();
    // Twice what this host has; the guest itself touches little of it.
    let gib = (memory_of_this_host() >> 29) + 2;
    let source = site.boot("memory=4M rate=500", &["--memory", &format!("{gib}G")]);
    let target = site.receive(Listen::Tcp, &[]);
    let wanted = format!("the guest has {gib} GiB of memory, this host has");
    failed(&source, &target.address(), &["the target refuses", &wanted, "available", "[incompatible]"]);
    unharmed(&source, 1);
    target.program.err.wait_for(&format!("no guest arrived: refused: {wanted}"), PROMPT);
}

/// Memory and swap of this host, in bytes.
fn memory_of_this_host() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let kib = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kib("MemTotal:") + kib("SwapTotal:")) << 10
}

#[test]
fn the_target_refuses_with_many_reasons_and_strange_letters() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let post = Post::open();
    let mut migration = source.begin_migration(&post.address(), &[]);
    let mut link = post.greet();
    let long = "y".repeat(100_000);
    link.say(&TargetMessage::Refused(vec!["first\nreason".into(), "second \x1b[31mreason".into(), long]));
    let migration = Migration::end(&mut migration);
    let said = migration.failed(Outcome::Failed);
    has(said, &["the target refuses: first", "second", "[31mreason", "yyy", "[incompatible]"]);
    assert!(said.len() < 10_000 && !said.contains('\x1b'), "{} bytes", said.len());
    assert_eq!(said.matches('…').count(), 1, "only what was cut is marked as cut: {said}");
    unharmed(&source, 1);
}

#[test]
fn the_target_counts_other_pages_or_talks_out_of_turn() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let out_of_turn: [(&[TargetMessage], &[&str]); 4] = [
        (&[TargetMessage::Ready], &["the target said Ready in phase prepare"]),
        (&[TargetMessage::Running { cpu_us: 1 }], &["the target said Running in phase prepare"]),
        (&[TargetMessage::Prepared, TargetMessage::Prepared], &["the target said Prepared"]),
        (&[TargetMessage::Abort("I would rather not".into())], &["the target gave up: I would rather not"]),
    ];
    for (messages, words) in out_of_turn {
        // A place for each: lanes of the one before may still knock at the last.
        let post = Post::open();
        let mut migration = source.begin_migration(&post.address(), &[]);
        let mut link = post.greet();
        let SourceMessage::Prepare(_) = link.hear() else { panic!("no Prepare") };
        messages.iter().for_each(|message| link.say(message));
        has(Migration::end(&mut migration).failed(Outcome::Failed), words);
    }

    let post = Post::open();
    let mut migration = source.begin_migration(&post.address(), &[]);
    let mut link = post.greet();
    let SourceMessage::Prepare(_) = link.hear() else { panic!("no Prepare") };
    link.say(&TargetMessage::Prepared);
    let mut lane = post.accept();
    link.say(&TargetMessage::LanesOpen);
    let reading = std::thread::spawn(move || lane.wait_closed());
    link.say(&TargetMessage::RoundDone { round: 1, pages: 7 });
    has(Migration::end(&mut migration).failed(Outcome::Failed), &["the target counts 7", "[protocol]"]);
    reading.join().unwrap();
    unharmed(&source, 5);
    let mut journey = Journey::begin(source);
    journey.hop(&site, Listen::Tcp, &[]);
}
