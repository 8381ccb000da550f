//! A lane belongs to the control link whose token it has, and to nobody else.

use godwit_migration::wire::{Hello, LaneHello, Prepare, SourceMessage, TargetMessage};

use crate::{
    common::shape,
    peers::{Link, Peer},
    world::{Set, Tap, Target, moves, moves_guest},
};

const SESSION: u128 = 77;

/// A control link whose target awaits one lane, and the token for it.
fn awaiting(client: &Peer, target: &Target) -> (Link, [u8; 32]) {
    let mut control = client.connect(target);
    let token = control.token();
    let hello = Hello {
        oldest: 1,
        newest: 1,
        capabilities: 0,
        session: SESSION,
        replaces: 0,
        software: "a test".into(),
    };
    control.begin([0; 32], &SourceMessage::Hello(hello));
    assert!(matches!(control.first_answer(), TargetMessage::Hello(_)));
    control.say(&SourceMessage::Prepare(Box::new(Prepare { shape: shape(64), lanes: 1 })));
    assert!(matches!(control.answer(), TargetMessage::Prepared));
    (control, token)
}

fn lane(client: &Peer, target: &Target, token: [u8; 32], hello: LaneHello) -> String {
    let mut lane = client.connect(target);
    let own = lane.token();
    assert_ne!(own, token, "each connection has its own");
    lane.begin(token, &SourceMessage::Lane(hello));
    match lane.first_answer() {
        TargetMessage::Refused(reasons) => reasons.join("; "),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lane_with_another_token_or_another_certificate_is_turned_away() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    let source = Peer::client(&set, Some(&set));
    let (mut control, token) = awaiting(&source, &target);
    let hello = LaneHello { session: SESSION, lane: 0 };

    let no_token = "its token is not that of this migration's control link";
    for wrong in [[0; 32], [1; 32], {
        let mut near = token;
        near[31] ^= 1;
        near
    }] {
        let said = lane(&source, &target, wrong, hello.clone());
        assert!(said.contains(no_token), "{said}");
    }
    target.heard(no_token);

    // Somebody whom the target knows too, with a token that it stole.
    let other = set.another(&["127.0.0.1"], std::time::SystemTime::now(), 1);
    let said = lane(&Peer::client(&set, Some(&other)), &target, token, hello.clone());
    let not_its_own = "its TLS certificate is another one than on this migration's control link";
    assert!(said.contains(not_its_own), "{said}");
    target.heard(not_its_own);

    let said = lane(&source, &target, token, LaneHello { session: SESSION + 1, ..hello });
    assert!(said.contains("nobody awaits a lane of that migration"), "{said}");
    let said = lane(&source, &target, token, LaneHello { lane: 1, ..hello });
    assert!(said.contains("the migration has fewer lanes"), "{said}");

    // None of it was in the way of the lane that is awaited.
    let mut own = source.connect(&target);
    own.token();
    own.begin(token, &SourceMessage::Lane(hello.clone()));
    assert!(matches!(control.answer(), TargetMessage::LanesOpen));
    let said = lane(&source, &target, token, hello);
    assert!(said.contains("that lane is here already"), "{said}");
}

#[test]
fn what_was_recorded_of_a_migration_opens_nothing() {
    let set = Set::of(&["127.0.0.1"]);
    let target = Target::start(set.target(&[]));
    let tap = Tap::to(&target.address);
    let mut guest = crate::common::Guest::new(64, std::time::Duration::from_millis(1));
    moves_guest(&tap.address, set.source(&[]), 1, &mut guest);
    target.end();

    let target = Target::start(set.target(&[]));
    for recorded in tap.end() {
        assert!(recorded.len() > 500);
        let mut socket = target.socket();
        // It may be turned away before it has said all.
        let _ = std::io::Write::write_all(&mut socket, &recorded);
        let mut answer = vec![];
        let _ = std::io::Read::read_to_end(&mut socket, &mut answer);
        // ServerHello, and at the end an alert: bad_record_mac.
        assert!(answer.starts_with(&[22, 3, 3]), "{answer:?}");
    }
    target.heard(
        "the TLS record of the source is not of this session: it was changed, or recorded from another",
    );
    moves(&target, set.source(&[]), 1);
}
