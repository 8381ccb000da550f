//! Whole migrations by TLS over real sockets, and everything that should not get in: each is refused in its own words,
//! at both ends where the protocol lets both speak.

mod common;
#[path = "tls/lanes.rs"]
mod lanes;
#[path = "tls/peers.rs"]
mod peers;
#[path = "tls/strangers.rs"]
mod strangers;
#[path = "tls/world.rs"]
mod world;

use std::time::{Duration, SystemTime};

use common::Guest;
use godwit_migration::error::Class;
use godwit_transport::{Listener, address::Address, protection::Protection};
use world::{DAY, Set, Target, moves, refused, runtime};

#[test]
fn a_writing_guest_arrives_whole_by_any_number_of_lanes() {
    let set = Set::of(&["127.0.0.1"]);
    for lanes in [1, 3, 8] {
        let target = Target::start(set.target(&[]));
        let guest = moves(&target, set.source(&[]), lanes);
        let ended = target.end();
        assert!(ended.place.memory.unwrap().content() == guest.memory.content() && ended.place.runs);
        assert_eq!(ended.said, "");
    }
}

#[test]
fn names_that_were_asked_for_are_taken() {
    let set = Set::new(&["host-a.example"], &["spiffe://prod.example/host/a"], SystemTime::now(), 1);
    for (source, target) in [
        (["host-a.example"], ["spiffe://prod.example/host/a"]),
        (["spiffe://prod.example/*"], ["spiffe://prod.example/host/*"]),
    ] {
        let target = Target::start(set.target(&target));
        moves(&target, set.source(&source), 2);
        assert_eq!(target.end().said, "");
    }
}

#[test]
fn a_host_without_that_name_is_not_given_the_guest() {
    let set = Set::of(&["elsewhere.example"]);
    let target = Target::start(set.target(&[]));
    let said = refused(&target, set.source(&[]), Class::Link);
    let words =
        "the target is turned away by TLS: its certificate is for elsewhere.example, and not for 127.0.0.1";
    assert!(said.contains(words) && said.contains("--peer"), "{said}");
    target.heard("the source refuses TLS: no name of this side's certificate is one that it takes");
    // The name that was given stands in place of the host's.
    let said = refused(&target, set.source(&["other.example"]), Class::Link);
    assert!(said.contains("is for elsewhere.example, and wanted is other.example (--peer)"), "{said}");
    moves(&target, set.source(&["other.example", "elsewhere.example"]), 1);
}

#[test]
fn a_source_that_is_not_on_the_list_is_told_so() {
    let set = Set::new(&["127.0.0.1"], &["spiffe://prod.example/host/a"], SystemTime::now(), 1);
    let target = Target::start(set.target(&["spiffe://prod.example/host/b", "b.example"]));
    let said = refused(&target, set.source(&[]), Class::Link);
    let words = "the target refuses TLS: no name of this side's certificate is one that it takes (its --peer";
    assert!(said.contains(words), "{said}");
    target.heard(
        "the source is turned away by TLS: its certificate is for spiffe://prod.example/host/a, 127.0.0.1, and taken is \
         only spiffe://prod.example/host/b, b.example (--peer)",
    );
}

#[test]
fn another_authority_is_not_believed_by_either() {
    let (ours, theirs) = (Set::of(&["127.0.0.1"]), Set::of(&["127.0.0.1"]));
    let target = Target::start(ours.target(&[]));
    let said = refused(&target, theirs.source(&[]), Class::Link);
    assert!(
        said.contains("the target is turned away by TLS: its certificate is not from an authority"),
        "{said}"
    );
    target.heard("the source refuses TLS: this side's certificate is not from an authority that it knows");
    // A source that believes ours, and shows what is theirs.
    let mixed = Set::of(&["127.0.0.1"]);
    mixed.copy_from(&theirs, &["client-cert.pem", "client-key.pem"]);
    peers::Peer::client(&ours, Some(&mixed)).says_to(&target).hears("UnknownCA");
    target.heard("the source is turned away by TLS: its certificate is not from an authority in ca-cert.pem");
}

#[test]
fn what_has_expired_is_refused_by_either() {
    let set = Set::of(&["127.0.0.1"]);
    let old = set.another(&["127.0.0.1"], SystemTime::now() - 10 * DAY, 5);
    let target = Target::start(set.target(&[]));
    peers::Peer::client(&set, Some(&old)).says_to(&target).hears("CertificateExpired");
    target.heard("the source is turned away by TLS: its certificate has expired 5 days ago");

    let (to, server) = peers::server(&old);
    let said = world::fails(&to, set.source(&[]), Class::Link);
    assert!(
        said.contains("the target is turned away by TLS: its certificate has expired 5 days ago"),
        "{said}"
    );
    assert!(server.join().unwrap().contains("CertificateExpired"));
}

#[test]
fn who_shows_nothing_is_asked_for_a_certificate() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    peers::Peer::client(&set, None).says_to(&target).hears("CertificateRequired");
    target.heard("the source is turned away by TLS: it shows no certificate");
}

#[test]
fn in_clear_nothing_leaves_this_host_unless_asked_by_name() {
    runtime().block_on(async {
        let all: Address = "tcp:0.0.0.0:0".parse().unwrap();
        let said = Listener::bind(&all).await.err().unwrap().to_string();
        assert!(said.contains("0.0.0.0 is not this host alone") && said.contains("--insecure"), "{said}");
        Listener::protected(&all, Protection::Insecure).await.unwrap();
        let set = Set::of(&["127.0.0.1"]);
        Listener::protected(&all, set.target(&[])).await.unwrap();
    });
    // Nobody is asked: the address is one that no host has.
    let said = world::fails(&"tcp:192.0.2.1:1".parse().unwrap(), Protection::Local, Class::Link);
    assert!(said.contains("192.0.2.1 is not this host alone") && said.contains("--tls DIR"), "{said}");
}

#[test]
fn a_unix_socket_has_no_name_so_one_is_asked_for() {
    let set = Set::of(&["host-a.example"]);
    let path = set.folder().join("listen.sock");
    let target = Target::at(&Address::Unix(path), set.target(&[]));
    let said = refused(&target, set.source(&[]), Class::Link);
    assert!(said.contains("a Unix socket has no host name") && said.contains("--peer"), "{said}");
    moves(&target, set.source(&["host-a.example"]), 2);
}

#[test]
fn one_side_with_tls_and_one_without_say_so_to_each_other() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    let said = refused(&target, Protection::Local, Class::Incompatible);
    assert!(said.contains("this target lets nobody in without TLS; give the source --tls DIR"), "{said}");
    target.heard("it does not speak TLS, and this target was started with --tls");

    let target = Target::start(Protection::Local);
    let said = refused(&target, set.source(&[]), Class::Link);
    assert!(said.contains("the target does not speak TLS, it began with \"godwit\\r\\n\""), "{said}");
    assert!(said.contains("both sides need --tls, or neither"), "{said}");
    target.heard("it speaks TLS, and this target was started without --tls");
    moves(&target, Protection::Local, 2);
}

#[test]
fn the_guest_is_not_in_what_travels() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    let tap = world::Tap::to(&target.address);
    let mut guest = Guest::new(256, Duration::from_millis(5));
    let secret = u64::from_le_bytes(*b"SECRET!!");
    (0..256).for_each(|page| guest.memory.write(page, secret));
    world::moves_guest(&tap.address, set.source(&[]), 1, &mut guest);
    let recorded = tap.end().concat();
    assert!(recorded.len() > 2048 && !recorded.windows(8).any(|window| window == b"SECRET!!"));
}
