//! What a process finds of its predecessor's records, and what it refuses.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use godwit_migration::wire::Answer;

use super::*;

/// A directory of a test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("godwit-record-{}-{number}", std::process::id())))
    }

    fn file(&self, session: u128) -> PathBuf {
        self.0.join(format!("{session:032x}.migration"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_process_that_is_started_again_answers_from_its_record() {
    let dir = Scratch::new();
    let mut ledger = Ledger::open(&dir.0).unwrap();
    for session in 1..=5 {
        ledger.note(session, Fate::Begun, "a").unwrap();
        assert_eq!(ledger.answer(session), Answer::Unknown, "under way: who drives it knows");
    }
    ledger.note(2, Fate::Runs, "a").unwrap();
    ledger.note(3, Fate::Never("no room".into()), "a").unwrap();
    ledger.note(4, Fate::GaveUp, "b").unwrap();
    ledger.note(5, Fate::TookBack, "b").unwrap();
    assert_eq!(ledger.answer(2), Answer::Runs);
    assert_eq!(ledger.left_open(), [], "only what earlier processes left");
    drop(ledger);
    let again = Ledger::open(&dir.0).unwrap();
    assert!(matches!(again.answer(1), Answer::Never(why) if why.contains("process ended")));
    assert_eq!(again.answer(2), Answer::Ended);
    assert_eq!(again.answer(3), Answer::Never("no room".into()));
    assert_eq!(again.answer(9), Answer::Unknown);
    assert_eq!(again.left_open(), [LeftOpen { session: 4, peer: "b".into() }]);
    let words = again.left_open()[0].to_string();
    assert!(words.contains("over to b (migration 00000000000000000000000000000004)"), "{words}");
}

#[test]
fn a_directory_has_one_process_at_a_time() {
    let dir = Scratch::new();
    let _first = Ledger::open(&dir.0).unwrap();
    let refused = Ledger::open(&dir.0).err().unwrap().to_string();
    assert!(refused.contains("in use by another process"), "{refused}");
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let dir = Scratch::new();
    Ledger::open(&dir.0).unwrap().note(7, Fate::Runs, "a").unwrap();
    let good = fs::read(dir.file(7)).unwrap();
    let other_version = String::from_utf8(good.clone()).unwrap().replacen(" 1 ", " 2 ", 1).into_bytes();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases = [
        (good[..5].to_vec(), "cut off in its first line"),
        (good[..good.len() - 1].to_vec(), "checksum is wrong"),
        (flipped, "checksum is wrong"),
        (other_version, "version \"2\"; this godwit reads version 1"),
        (b"garbage\n".to_vec(), "does not begin with godwit-record"),
        (vec![0xff; 100], "it is no text"),
        (vec![b'x'; 70_000], "it has 70000 bytes"),
    ];
    for (bytes, words) in cases {
        fs::write(dir.file(7), bytes).unwrap();
        let refused = Ledger::open(&dir.0).err().unwrap().to_string();
        assert!(refused.contains(words) && refused.contains("0000007.migration"), "{refused}");
    }
}

#[test]
fn a_record_that_cannot_be_written_changes_nothing() {
    let dir = Scratch::new();
    let mut ledger = Ledger::open(&dir.0).unwrap();
    ledger.note(7, Fate::Begun, "a").unwrap();
    let before = fs::read(dir.file(7)).unwrap();
    // Where the new one is to be written stands a directory.
    fs::create_dir(dir.file(7).with_extension("new")).unwrap();
    assert!(ledger.note(7, Fate::Runs, "a").unwrap_err().to_string().contains("cannot write the record"));
    assert_eq!(fs::read(dir.file(7)).unwrap(), before);
    assert_eq!(ledger.answer(7), Answer::Unknown);
    ledger.remember(7, Fate::Never("no record".into()), "a");
    assert_eq!(ledger.answer(7), Answer::Never("no record".into()), "this process knows at least");
}
