//! What is sealed at one end is opened at the other, over changes of keys too; what was changed on the way is not.

use std::{io, time::SystemTime};

use rustls::pki_types::ServerName;

use super::{
    Opener, Session, SourceTls, TargetTls, accept,
    authority::{Request, make},
    connect,
    record::MAX_PLAIN_BYTES,
};

/// Both ends of a session: the source's and the target's.
fn sessions() -> (Session, Session) {
    let folder = tempfile::tempdir().unwrap();
    let request = Request { names: vec!["localhost".into()], uris: vec![], from: SystemTime::now(), days: 1 };
    make(folder.path(), &request).unwrap();
    let source = SourceTls::load(folder.path(), &[]).unwrap();
    let target = TargetTls::load(folder.path(), &[]).unwrap();
    // So small that every message of the handshake comes in pieces.
    let (mut near, mut far) = tokio::io::duplex(100);
    let host = ServerName::try_from("localhost").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (near, far) = runtime
        .block_on(async { tokio::join!(connect(&source, host, &mut near), accept(&target, &mut far)) });
    (near.unwrap(), far.unwrap())
}

/// Gives `bytes` to the opener in pieces of `piece`, and takes out what comes.
fn open(opener: &mut Opener, bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let (mut out, mut buffer) = (vec![], [0; 5000]);
    for mut bytes in bytes.chunks(piece) {
        while !bytes.is_empty() {
            let space = opener.space();
            let now = space.len().min(bytes.len());
            space[..now].copy_from_slice(&bytes[..now]);
            opener.came(now);
            bytes = &bytes[now..];
            while let Some(taken @ 1..) = opener.take(&mut buffer)? {
                out.extend_from_slice(&buffer[..taken]);
            }
        }
    }
    Ok(out)
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

#[test]
fn any_size_arrives_in_any_pieces_both_ways() {
    let (mut source, mut target) = sessions();
    for bytes in [1, 17, MAX_PLAIN_BYTES, MAX_PLAIN_BYTES + 1, 300_000] {
        for piece in [1000, 16_406, 200_000] {
            for (from, to) in
                [(&mut source.sealer, &mut target.opener), (&mut target.sealer, &mut source.opener)]
            {
                let (said, mut records) = (content(bytes), vec![]);
                from.seal(&said, &mut records).unwrap();
                assert_eq!(records.len(), bytes.div_ceil(MAX_PLAIN_BYTES));
                assert!(open(to, &records.concat(), piece).unwrap() == said);
                to.ended().unwrap();
            }
        }
    }
}

#[test]
fn keys_change_before_their_limit_and_nothing_is_lost() {
    let (mut source, mut target) = sessions();
    source.sealer.set_limit(3);
    let (said, mut records) = (content(10 * MAX_PLAIN_BYTES), vec![]);
    source.sealer.seal(&said, &mut records).unwrap();
    assert_eq!(records.len(), 10 + 4, "two of content for each change, and the first keys' last");
    assert!(open(&mut target.opener, &records.concat(), 7000).unwrap() == said);
}

/// What happens to two records on the way.
type Change = fn(Vec<Vec<u8>>) -> Vec<u8>;

#[test]
fn what_was_changed_dropped_repeated_or_cut_is_an_error_in_words() {
    let sealed = |session: &mut Session| {
        let mut records = vec![];
        session.sealer.seal(&content(2 * MAX_PLAIN_BYTES), &mut records).unwrap();
        records
    };
    let fails = |change: Change| {
        let (mut source, mut target) = sessions();
        let changed = change(sealed(&mut source));
        let opened = open(&mut target.opener, &changed, 50_000);
        opened.and_then(|_| target.opener.ended()).unwrap_err().to_string()
    };
    let not_of_this_session = "the TLS record of the source is not of this session";
    let cases: [(Change, &str); 6] = [
        (
            |mut records| {
                records[0][100] ^= 1;
                records.concat()
            },
            not_of_this_session,
        ),
        (|records| records[1].clone(), not_of_this_session),
        (|records| [&records[0][..], &records[0]].concat(), not_of_this_session),
        (|records| records[0][..9000].to_vec(), "in the middle of a TLS record"),
        (|_| [&[23, 3, 3, 0xff, 0xff][..], &[0; 100]].concat(), "a record of 65535 bytes"),
        (|_| vec![21, 3, 3, 0, 2, 2, 40], "the source sent a record in clear"),
    ];
    for (change, words) in cases {
        let said = fails(change);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn another_session_s_record_is_not_taken() {
    let ((mut other, _), (_, mut target)) = (sessions(), sessions());
    let mut records = vec![];
    other.sealer.seal(b"recorded", &mut records).unwrap();
    let said = open(&mut target.opener, &records.concat(), 1000).unwrap_err().to_string();
    assert!(said.contains("recorded from another"), "{said}");
}
