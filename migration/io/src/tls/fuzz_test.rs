//! TLS handshakes with an enemy who has heard many: what either side says, mutated, cut and without end. Each is refused in
//! words, after a bounded number of bytes, and never with a panic. A long run, and another:
//!
//! ```text
//! GODWIT_FUZZ_ITERATIONS=1000000 GODWIT_FUZZ_SEED=7 cargo test --release -p godwit-transport --lib fuzz
//! ```

#[path = "../../../core/tests/fuzz/mutator.rs"]
mod mutator;

use std::{
    collections::BTreeSet,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::SystemTime,
};

use mutator::Mutator;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::{
    HANDSHAKE_RECORD, SourceTls, TargetTls, accept,
    authority::{Request, make},
    connect,
};

/// So much is taken from one who has not got through the handshake, and no more: what may wait, and a few records that
/// were understood.
const MOST_TAKEN: usize = 256 << 10;
/// So much is said to it: our certificates, and an alert.
const MOST_SAID: usize = 16 << 10;
/// What an enemy has to say: more than is ever taken.
const ENDLESS: usize = 4 * MOST_TAKEN;
/// Bytes before a record's body.
const RECORD: usize = 5;
/// Bytes before the body of a handshake's message.
const MESSAGE: usize = 4;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is '{text}', no number")))
}

/// Both sides, of one authority.
fn sides() -> (SourceTls, TargetTls) {
    let folder = tempfile::tempdir().unwrap();
    let request = Request { names: vec!["localhost".into()], uris: vec![], from: SystemTime::now(), days: 1 };
    make(folder.path(), &request).unwrap();
    (SourceTls::load(folder.path(), &[]).unwrap(), TargetTls::load(folder.path(), &[]).unwrap())
}

fn host() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// A link that keeps what was said on it.
struct Overheard {
    link: DuplexStream,
    said: Vec<u8>,
}

impl AsyncRead for Overheard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_read(cx, buf)
    }
}

impl AsyncWrite for Overheard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.link).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = written {
            self.said.extend_from_slice(&buf[..bytes]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(cx)
    }
}

/// What a source and a target say in a handshake that is as it should be, record by record.
fn overheard(source: &SourceTls, target: &TargetTls) -> [Vec<Vec<u8>>; 2] {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (mut near, mut far) = (Overheard { link: near, said: vec![] }, Overheard { link: far, said: vec![] });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (sealed, opened) = runtime
        .block_on(async { tokio::join!(connect(source, host(), &mut near), accept(target, &mut far)) });
    assert!(sealed.is_ok() && opened.is_ok());
    [records(&near.said), records(&far.said)]
}

fn records(mut said: &[u8]) -> Vec<Vec<u8>> {
    let mut records = vec![];
    while said.len() >= RECORD {
        let bytes = RECORD + usize::from(u16::from_be_bytes([said[3], said[4]]));
        records.push(said[..bytes].to_vec());
        said = &said[bytes..];
    }
    records
}

/// One who says `says`, then its last record again and again, and never waits.
struct Enemy {
    says: Vec<u8>,
    again: usize,
    taken: usize,
    told: usize,
}

impl AsyncRead for Enemy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (says, again) = (self.says.len(), self.again.max(1));
        while buf.remaining() > 0 && self.taken < ENDLESS {
            let at = if self.taken < says { self.taken } else { says - again + (self.taken - says) % again };
            buf.put_slice(&self.says[at..=at]);
            self.taken += 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Enemy {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.told += buf.len();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A handshake that was heard, with one record or more that are not as they were; half of them with lengths that fit, so
/// that what is within is looked at.
fn enemy(mutator: &mut Mutator, heard: &[Vec<u8>]) -> Enemy {
    let mut records = heard.to_vec();
    for _ in 0..1 + mutator.below(3) {
        let at = mutator.below(records.len());
        match mutator.below(8) {
            0 => records.truncate(at + 1),
            1 => records.insert(at, mutator.mutate(heard)),
            2 => records.swap(0, at),
            fits => {
                let record = &mut records[at];
                if record.is_empty() {
                    continue;
                }
                mutator.tamper(record);
                if fits < 6 {
                    lengths_that_fit(record);
                }
            }
        }
    }
    let again = records.last().map_or(0, Vec::len);
    let mut says = records.concat();
    if says.is_empty() {
        says.push(HANDSHAKE_RECORD);
    }
    Enemy { again: again.min(says.len()), says, taken: 0, told: 0 }
}

/// Says in the headers of a record, and of the message of a handshake in it, how long they are.
fn lengths_that_fit(record: &mut [u8]) {
    let Some(body) = record.len().checked_sub(RECORD) else { return };
    record[3..RECORD].copy_from_slice(&(body as u16).to_be_bytes());
    if record[0] == HANDSHAKE_RECORD && body >= MESSAGE {
        record[RECORD + 1..RECORD + MESSAGE].copy_from_slice(&((body - MESSAGE) as u32).to_be_bytes()[1..]);
    }
}

/// Plays `iterations` enemies who know `heard`, and looks at what becomes of each.
fn plays(seed: u64, heard: &[Vec<u8>], mut play: impl AsyncFnMut(&mut Enemy) -> io::Result<()>) {
    let mut mutator = Mutator::new(number("GODWIT_FUZZ_SEED", seed));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut reasons = BTreeSet::new();
    for _ in 0..number("GODWIT_FUZZ_ITERATIONS", 3_000) {
        let mut enemy = enemy(&mut mutator, heard);
        // What was heard has keys that are none of ours: nothing of it gets through.
        let said = runtime.block_on(play(&mut enemy)).expect_err("an enemy gets through").to_string();
        assert!(!said.is_empty() && said.len() < 512 && !said.contains(char::is_control), "{said:?}");
        assert!(enemy.taken <= MOST_TAKEN, "{} bytes were taken: {said}", enemy.taken);
        assert!(enemy.told <= MOST_SAID, "{} bytes were said: {said}", enemy.told);
        reasons.insert(said.split('"').next().map(str::to_owned));
    }
    assert!(reasons.len() >= 8, "enemies who fail at the same things: {reasons:#?}");
}

#[test]
fn a_target_refuses_what_was_said_to_it_before_and_was_changed() {
    let (source, target) = sides();
    let [heard, _] = overheard(&source, &target);
    plays(17, &heard, async |enemy| accept(&target, enemy).await.map(|_| ()));
}

#[test]
fn a_source_refuses_what_was_said_to_it_before_and_was_changed() {
    let (source, target) = sides();
    let [_, heard] = overheard(&source, &target);
    plays(18, &heard, async |enemy| connect(&source, host(), enemy).await.map(|_| ()));
}
