//! Whatever is on the wire passes as it came, and what is the protocol's is told apart.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
};

use godwit_migration::wire::{
    FrameHeader, FrameKind, LaneHello, MAGIC, SourceMessage, TargetMessage, encode_message,
};

use super::{
    point::Side,
    units::{Units, What},
};
use crate::peer::{frame, one_page};

/// What a reader makes of `bytes`; asserts that it leaves none out.
fn read(side: Side, bytes: &[u8]) -> Vec<What> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    writer.write_all(bytes).unwrap();
    drop(writer);
    let (mut all, mut read) = (Vec::new(), Vec::new());
    for unit in Units::of(listener.accept().unwrap().0, side) {
        read.extend_from_slice(&unit.bytes);
        all.push(unit.what);
    }
    assert_eq!(read, bytes);
    all
}

#[test]
fn messages_of_both_sides_are_told_by_name() {
    let source = [&MAGIC[..], &encode_message(&SourceMessage::Go)].concat();
    assert_eq!(read(Side::Source, &source), [What::Magic, What::Message("Go")]);
    let target =
        [&MAGIC[..], &encode_message(&TargetMessage::Ready), &encode_message(&TargetMessage::Prepared)]
            .concat();
    assert_eq!(read(Side::Target, &target), [What::Magic, What::Message("Ready"), What::Message("Prepared")]);
}

#[test]
fn a_lane_is_frames() {
    let hello = encode_message(&SourceMessage::Lane(LaneHello { session: 1, lane: 3 }));
    let page = one_page(0);
    let end = FrameHeader { kind: FrameKind::LastRoundEnd, codec: 0, round: 2, bytes: 0, first: 0, ..page };
    let bytes = [&MAGIC[..], &hello, &frame(&page, 4096), &frame(&end, 0)].concat();
    let expected = [
        What::Magic,
        What::LaneHello(3),
        What::Frame(None, 1),
        What::Frame(Some(FrameKind::LastRoundEnd), 2),
    ];
    assert_eq!(read(Side::Source, &bytes), expected);
}

#[test]
fn what_is_not_understood_passes() {
    let all = [&MAGIC[..], &[0xff; 100_000]].concat();
    assert!(read(Side::Source, &all)[1..].iter().all(|what| *what == What::Other));
    assert_eq!(read(Side::Target, b"\x16\x03\x01"), [What::Other]);
    assert_eq!(read(Side::Target, b"\x16\x03\x01\0\x05ab"), [What::Other]);
    let torn = &encode_message(&TargetMessage::Running { cpu_us: 1 })[..9];
    assert_eq!(read(Side::Target, &[&MAGIC[..], torn].concat()), [What::Magic, What::Other]);
}

#[test]
fn of_tls_the_records_are_told() {
    let records = b"\x16\x03\x01\0\x02ab\x17\x03\x03\0\x01c\x17\x03\x03\0\0";
    assert_eq!(read(Side::Source, records), [What::Record(0), What::Record(1), What::Record(2)]);
}
