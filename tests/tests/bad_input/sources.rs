//! Sources that bring what cannot be. The target says why, runs nothing of it, and takes the next guest.

use godwit_migration::{
    limits::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, PAGE_BYTES, PROTOCOL},
    shape::{DeviceShape, MachineShape, Region},
    wire::{FrameHeader, FrameKind, Prepare, SourceMessage, TargetMessage},
};
use godwit_tests::{
    journey::Journey,
    peer::{Link, frame, hello, one_page, shape_of},
    program::{PROMPT, alone, has},
    site::{Listen, Site},
    vmm::Vmm,
};

/// A guest, the machine that it needs, and a target that could take it.
fn scene(site: &Site) -> (Vmm, MachineShape, Vmm) {
    let source = site.boot("memory=4M rate=500", &["--memory", "64M"]);
    let shape = shape_of(&source);
    (source, shape, site.receive(Listen::Tcp, &[]))
}

/// The target has told its user once for each failure, has no guest, and takes a good one.
fn takes_the_next(source: Vmm, target: Vmm, failures: usize) {
    let told = |heard: &str| heard.lines().filter(|line| line.contains("no guest arrived")).count();
    target.program.err.wait("end of the last", PROMPT, |heard| (told(heard) >= failures).then_some(()));
    has(target.ask(&["info"]).sentence(), &["there is no guest here yet"]);
    source.wait_more_beats(2);
    let mut journey = Journey::begin(source);
    journey.hop_to(target, &[]);
    let said = journey.now.program.err.text();
    assert_eq!(told(&said), failures, "{said}");
    journey.verdict();
}

#[test]
fn strangers_do_not_end_the_wait() {
    let _turn = alone();
    let site = Site::open();
    let (source, _, target) = scene(&site);
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0", b"", b"godwit\r\n\xff\xff\xff\xff\0\0\0\0", b"godwit\r\n"]
    {
        Link::dial(&target.address()).write(bytes);
    }
    // A lane that no migration awaits.
    Link::dial(&target.address()).say_first(&SourceMessage::Go);
    target.program.err.wait_for("began with Go", PROMPT);
    takes_the_next(source, target, 0);
}

#[test]
fn another_version_of_the_protocol() {
    let _turn = alone();
    let site = Site::open();
    let (source, _, target) = scene(&site);
    for (oldest, newest) in [(PROTOCOL.1 + 1, PROTOCOL.1 + 9), (0, 0), (u16::MAX, u16::MAX), (9, 8)] {
        let mut link = Link::dial(&target.address());
        link.say_first(&hello(oldest, newest));
        link.hear_magic();
        let TargetMessage::Refused(reasons) = link.hear() else {
            panic!("version {oldest} to {newest} was taken")
        };
        let spoken = format!("speaks protocol versions {oldest} to {newest}, this target");
        has(&reasons.join("; "), &[&spoken, "speaks 1 to 1", "a hand-made source"]);
        link.wait_closed();
    }
    takes_the_next(source, target, 4);
}

#[test]
fn a_machine_that_this_host_cannot_be_is_refused_with_every_reason_at_once() {
    let _turn = alone();
    let site = Site::open();
    let (source, shape, target) = scene(&site);
    let mut wild = shape.clone();
    wild.memory.regions = vec![Region { gpa: 0, bytes: 1 << 40 }];
    wild.cpus.msrs.push(0xdead_beef);
    wild.cpus.xsave_bytes = 1 << 20;
    let features = wild.cpus.cpuid.iter_mut().find(|entry| entry.function == 1).unwrap();
    features.registers[2] = u32::MAX;
    wild.devices[0].version = 99;
    wild.devices.push(DeviceShape {
        instance: "coffee0".into(),
        kind: "coffee-machine".into(),
        version: 1,
        queue_sizes: vec![],
    });
    let reasons = refused(&target, &wild, 1);
    for words in ["1024 GiB", "0xdeadbeef", "1048576 bytes", "version 99", "coffee-machine", "devices"] {
        assert!(reasons.iter().any(|reason| reason.contains(words)), "no '{words}' in {reasons:#?}");
    }
    // A bit of leaf 1 that no KVM offers, by name.
    assert!(reasons.iter().any(|reason| reason.to_lowercase().contains("cpu")), "{reasons:#?}");
    assert!(reasons.len() >= 7, "{reasons:#?}");
    takes_the_next(source, target, 1);
}

#[test]
fn a_machine_that_cannot_be_at_all_is_refused() {
    let _turn = alone();
    let site = Site::open();
    let (source, shape, target) = scene(&site);
    type Change = fn(&mut MachineShape);
    let changes: [(Change, &str); 6] = [
        (|shape| shape.memory.regions.clear(), "0 memory regions"),
        (|shape| shape.memory.regions[0].bytes += 1, "misplaced"),
        (|shape| shape.memory.regions[0].bytes = 1 << 62, "bytes of memory"),
        (|shape| shape.cpus.count = 0, "no vCPU"),
        (|shape| shape.cpus.count = 17, "17 vCPUs; at most 16"),
        (|shape| shape.cpus.msrs = (0..5000).collect(), "5000 MSRs"),
    ];
    for (change, words) in changes {
        let mut shape = shape.clone();
        change(&mut shape);
        has(&refused(&target, &shape, 1).join("; "), &[words]);
    }
    for lanes in [0, 17, 255] {
        has(&refused(&target, &shape, lanes).join("; "), &[&format!("{lanes} lanes")]);
    }
    takes_the_next(source, target, 9);
}

/// Why `target` refuses that machine.
fn refused(target: &Vmm, shape: &MachineShape, lanes: u8) -> Vec<String> {
    let mut link = Link::introduced(&target.address());
    link.say(&SourceMessage::Prepare(Box::new(Prepare { shape: shape.clone(), lanes })));
    let TargetMessage::Refused(reasons) = link.hear() else {
        panic!("it was taken: {lanes} lanes, {shape:?}")
    };
    link.wait_closed();
    reasons
}

#[test]
fn frames_that_cannot_be() {
    let _turn = alone();
    let site = Site::open();
    let (source, shape, target) = scene(&site);
    let pages = shape.memory.pages();
    let page = one_page(5);
    let end = |count, chain| FrameHeader {
        kind: FrameKind::RoundEnd,
        codec: 0,
        first: 0,
        count,
        bytes: 0,
        chain,
        ..page
    };
    let flipped = |at: usize| {
        let mut frame = frame(&page, PAGE_BYTES);
        frame[at] ^= 1;
        frame
    };
    const { assert!(MAX_FRAME_BYTES < 17 * PAGE_BYTES, "a frame of 17 pages is too long") };
    let long = FrameHeader { count: 17, bytes: 17 * PAGE_BYTES as u32, ..page };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (frame(&long, 0), "over the limit"),
        (frame(&FrameHeader { bytes: u32::MAX, ..page }, 0), "over the limit"),
        (frame(&FrameHeader { first: pages, ..page }, PAGE_BYTES), "of a guest that has"),
        (frame(&FrameHeader { first: u32::MAX, ..page }, PAGE_BYTES), "of a guest that has"),
        (frame(&FrameHeader { count: 0, bytes: 0, ..page }, 0), "a frame of 0 pages"),
        (frame(&FrameHeader { count: 600, codec: 1, bytes: 0, ..page }, 0), "a frame of 600 pages"),
        (frame(&FrameHeader { sequence: 1, ..page }, PAGE_BYTES), "where frame 0 was due"),
        (frame(&FrameHeader { round: 2, ..page }, PAGE_BYTES), "a frame of round 2 in round 1"),
        (frame(&FrameHeader { codec: 200, ..page }, PAGE_BYTES), "unknown encoding 200"),
        (frame(&FrameHeader { bytes: 100, ..page }, 100), "with 100 bytes"),
        (flipped(28), "wrong checksum"),
        (flipped(1000), "wrong checksum"),
        (frame(&end(3, 0), 0), "announced 3 pages in round 1 and brought 0"),
        (frame(&end(0, 99), 0), "its checksums do not chain"),
        (vec![0; 32], "unknown kind 0"),
    ];
    let failures = cases.len();
    for (bytes, words) in cases {
        let (mut link, mut lanes) = Link::prepared(&target.address(), &shape, 1);
        lanes[0].write(&bytes);
        has(&link.hear_abort(), &["the peer broke the protocol", words]);
        link.wait_closed();
        lanes[0].wait_closed();
    }
    takes_the_next(source, target, failures);
}

#[test]
fn messages_that_cannot_be_or_come_out_of_order() {
    let _turn = alone();
    let site = Site::open();
    let (source, shape, target) = scene(&site);
    for (message, words) in [
        (SourceMessage::Go, "the source said Go in phase rounds"),
        (hello(1, 1), "the source said Hello in phase rounds"),
        (SourceMessage::Abort("changed my mind".into()), ""),
    ] {
        let (mut link, _lanes) = Link::prepared(&target.address(), &shape, 2);
        link.say(&message);
        if words.is_empty() {
            // Who gave up needs no telling.
            link.wait_closed();
        } else {
            has(&link.hear_abort(), &[words]);
        }
    }
    target.program.err.wait_for("the source gave up: changed my mind", PROMPT);
    let too_long = (MAX_MESSAGE_BYTES as u32 + 1).to_le_bytes();
    for (bytes, words) in
        [([too_long, [0; 4]].concat(), "over the limit"), (vec![1, 0, 0, 0, 0, 0, 0, 0, 9], "wrong checksum")]
    {
        let (mut link, _lanes) = Link::prepared(&target.address(), &shape, 1);
        link.write(&bytes);
        has(&link.hear_abort(), &[words]);
    }
    takes_the_next(source, target, 5);
}

#[test]
fn a_guest_without_its_state_is_never_run() {
    let _turn = alone();
    let site = Site::open();
    let (source, shape, target) = scene(&site);
    let (mut link, mut lanes) = Link::prepared(&target.address(), &shape, 1);
    link.say(&SourceMessage::State(vec![]));
    let last =
        FrameHeader { kind: FrameKind::LastRoundEnd, codec: 0, count: 0, bytes: 0, first: 0, ..one_page(0) };
    lanes[0].write(&frame(&last, 0));
    assert!(!link.hear_abort().is_empty());
    // Hung up in the middle of a round.
    let (link, mut lanes) = Link::prepared(&target.address(), &shape, 1);
    lanes[0].write(&frame(&one_page(1), PAGE_BYTES)[..100]);
    drop((link, lanes));
    takes_the_next(source, target, 2);
}

#[test]
fn a_second_source_is_turned_away_while_one_is_at_it() {
    let _turn = alone();
    let site = Site::open();
    let (source, shape, target) = scene(&site);
    let first = Link::prepared(&target.address(), &shape, 1);
    let migration = source.migrate(&target.address(), &[]);
    let said = migration.failed(godwit_migration::report::Outcome::Failed);
    has(said, &["the target refuses: another migration to this target is under way"]);
    drop(first);
    takes_the_next(source, target, 1);
}
