//! A key-value store: of its requests nine in ten read, one writes, and most go to few keys. What is read is compared with what
//! was written last.

use std::{collections::HashMap, sync::OnceLock};

use crate::{Done, Job, random::Random};

/// Keys, of about a KiB of value each: 24 MiB.
const KEYS: u64 = 24 << 10;
/// Bytes of a value: so many, and at most so many more.
const VALUE_BYTES: (u64, u64) = (512, 1024);
/// Requests of a round.
const REQUESTS: u64 = 1024;
/// One request in so many writes.
const WRITES: u64 = 10;

pub struct Store {
    random: Random,
    values: HashMap<u64, Vec<u8>>,
    /// How often each key was written.
    versions: Vec<u64>,
}

impl Store {
    pub fn new() -> Self {
        let values = (0..KEYS).map(|key| (key, value(key, 0))).collect();
        Self { random: Random(2), values, versions: vec![0; KEYS as usize] }
    }

    /// A key: the square of an even draw, so that half of the requests go to a quarter of the keys.
    fn key(&mut self) -> u64 {
        let draw = self.random.below(KEYS);
        draw * draw / KEYS
    }
}

/// What `key` holds in this version: its name, and a piece of a text.
fn value(key: u64, version: u64) -> Vec<u8> {
    let mut random = Random(key << 32 | version);
    let length = VALUE_BYTES.0 + random.below(VALUE_BYTES.1);
    let text = text();
    let at = random.below(text.len() as u64 - length) as usize;
    let mut value = format!("{key}:{version}: ").into_bytes();
    value.extend_from_slice(&text[at..at + length as usize]);
    value
}

/// A text of 64 KiB: numbers in words of hexadecimal digits.
fn text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut random = Random(3);
        (0..8 << 10).flat_map(|_| format!("{:07x} ", random.next() >> 36).into_bytes()).collect()
    })
}

impl Job for Store {
    fn round(&mut self) -> Done {
        let mut wrong = vec![];
        for _ in 0..REQUESTS {
            let key = self.key();
            let version = &mut self.versions[key as usize];
            if self.random.below(WRITES) == 0 {
                *version += 1;
                self.values.insert(key, value(key, *version));
            } else if self.values.get(&key) != Some(&value(key, *version)) {
                wrong.push(format!("key {key} does not hold its version {version}"));
            }
        }
        Done { work: REQUESTS, wrong }
    }
}
