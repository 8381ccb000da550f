//! Peers of other releases: two go together where they share a version, and else each side says which both speak.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use godwit_migration::{limits::PROTOCOL, wire::Prepare};
use godwit_transport::checking;

use super::{
    parting::{address_of, hear},
    *,
};

const BEFORE: (u16, u16) = (PROTOCOL.0 - 1, PROTOCOL.0 - 1);
const AFTER: (u16, u16) = (PROTOCOL.1 + 1, PROTOCOL.1 + 2);

fn hello((oldest, newest): (u16, u16)) -> Vec<u8> {
    let hello = Hello { oldest, newest, capabilities: !0, session: 5, replaces: 0, software: "other".into() };
    [MAGIC.as_slice(), &encode_message(&SourceMessage::Hello(hello))].concat()
}

fn range((oldest, newest): (u16, u16)) -> String {
    format!("{oldest} to {newest}")
}

#[test]
fn a_source_of_a_release_before_or_after_is_refused_with_both_ranges() {
    for theirs in [BEFORE, AFTER] {
        let (answer, verdict) = say_to_target(&hello(theirs));
        let error = verdict.unwrap_err();
        assert_eq!(error.class, Class::Incompatible);
        for said in [String::from_utf8_lossy(&answer).into_owned(), error.reason] {
            let both = said.contains(&range(theirs)) && said.contains(&range(PROTOCOL));
            assert!(both && said.contains("(other)"), "{said}");
        }
    }
}

/// A release that still speaks what this one does.
#[test]
fn a_source_of_the_next_release_is_answered_in_the_version_that_both_speak() {
    let (to, thread) = target(Place::default(), Handle::default());
    let mut control = TcpStream::connect(to.to_string().strip_prefix("tcp:").unwrap()).unwrap();
    control.write_all(&hello((PROTOCOL.1, AFTER.0))).unwrap();
    control.read_exact(&mut [0; MAGIC.len()]).unwrap();
    let TargetMessage::Hello(reply) = hear(&mut control) else { panic!("it is let in") };
    assert_eq!((reply.version, reply.capabilities), (PROTOCOL.1, 0), "and no capability that is not here");
    // And goes on in it.
    let prepare = Prepare { shape: shape(PAGES), lanes: 1 };
    control.write_all(&encode_message(&SourceMessage::Prepare(Box::new(prepare)))).unwrap();
    while hear::<TargetMessage>(&mut control) != TargetMessage::Prepared {}
    control.write_all(&encode_message(&SourceMessage::Abort("enough".into()))).unwrap();
    assert!(thread.join().unwrap().0.unwrap_err().reason.contains("enough"));
}

/// A target that says `answer` to each of two sources, and how a migration and a question end there.
fn at_target(answer: TargetMessage) -> [(Class, String); 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = address_of(&listener);
    let thread = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut control, _) = listener.accept().unwrap();
            control.read_exact(&mut [0; MAGIC.len()]).unwrap();
            let SourceMessage::Hello(hello) = hear(&mut control) else { panic!("Hello comes first") };
            assert_eq!((hello.oldest, hello.newest), PROTOCOL);
            control.write_all(&[MAGIC.as_slice(), &encode_message(&answer)].concat()).unwrap();
            let _ = std::io::copy(&mut control, &mut std::io::sink());
        }
    });
    let mut guest = Guest::new(PAGES, PACE);
    guest.start();
    let report = migrate(&options(&to, "precopy", 1), &mut guest, &Handle::default());
    let asked =
        runtime().block_on(checking::check(&options(&to, "precopy", 1), shape(PAGES), &Handle::default()));
    let asked = match asked {
        Ok(answer) => (Class::Incompatible, answer.reasons.join("; ")),
        Err(error) => (error.class, error.reason),
    };
    thread.join().unwrap();
    assert!(guest.is_running() && !guest.given_up);
    [reason(&report), asked]
}

#[test]
fn a_target_of_another_release_says_what_it_speaks_and_the_guest_goes_on() {
    for theirs in [BEFORE, AFTER] {
        let words = format!("this target (other) speaks {}", range(theirs));
        for (class, said) in at_target(TargetMessage::Refused(vec![words.clone()])) {
            assert!(class == Class::Incompatible && said.contains(&words), "{class:?}: {said}");
        }
    }
}

#[test]
fn a_target_that_takes_a_version_that_was_not_offered_breaks_the_protocol() {
    for version in [BEFORE.0, AFTER.0] {
        let reply = TargetMessage::Hello(HelloReply { version, capabilities: 0, software: "other".into() });
        for (class, said) in at_target(reply) {
            let words = format!("protocol version {version}, which was not offered");
            assert!(class == Class::Protocol && said.contains(&words), "{class:?}: {said}");
        }
    }
}
