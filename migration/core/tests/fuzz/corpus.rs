//! The seed corpus: what encoders write, in files, so that a change of the wire format shows as a change of files.

use std::{fs, path::PathBuf};

use godwit_migration::{
    codec::{CODECS, Coded, Encoding},
    host::{HostError, PageBytes, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
    wire::{LaneOut, encode_message},
};

use crate::{handshake, target::PAGES};

/// Seeds by the name of a codec, `lane` for whole streams, `source` and `target` for what either says.
pub struct Corpus;

impl Corpus {
    /// The seeds of that name.
    pub fn read(name: &str) -> Vec<Vec<u8>> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        if std::env::var_os("GODWIT_FUZZ_WRITE").is_some() {
            for (at, seed) in make(name).iter().enumerate() {
                fs::write(folder.join(format!("{name}-{at}")), seed).expect("the corpus can be written");
            }
        }
        let files =
            fs::read_dir(&folder).expect("there is a corpus").map(|file| file.expect("a file").path());
        let mut files: Vec<_> = files
            .filter(|path| {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                file.rsplit_once('-').is_some_and(|(of, _)| of == name)
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "there is no seed of '{name}'");
        files.iter().map(|path| fs::read(path).expect("a seed")).collect()
    }
}

/// A few kinds of pages, by number and round.
fn page(at: u32, round: u32) -> PageBytes {
    let mut page = [0; PAGE_BYTES];
    match at % 4 {
        0 => {}
        1 => page[at as usize % 500 * 8..][..64].fill(at as u8 | 1),
        2 => (0u32..).zip(page.chunks_exact_mut(4)).for_each(|(n, word)| {
            word.copy_from_slice(&(n / 3 * 17 % 91 + at).wrapping_mul(0x0101).to_le_bytes());
        }),
        _ => page.fill(b'a' + (at / 64) as u8 % 4),
    }
    if round > 1 {
        page[8..16].copy_from_slice(&u64::from(round * at).to_le_bytes());
    }
    page
}

fn make(name: &str) -> Vec<Vec<u8>> {
    if name == "lane" {
        let encodings = [
            "none",
            "zero,rle",
            "zero,xbzrle,cache=1,dedup,cache=1",
            "adaptive",
            "zero,rle,zstd",
            "xbzrle,zstd,level=5",
        ];
        return encodings.iter().map(|encoding| stream(encoding)).collect();
    }
    match name {
        "source" => return handshake::source().iter().map(encode_message).collect(),
        "target" => return handshake::target().iter().map(encode_message).collect(),
        _ => {}
    }
    let row = CODECS.iter().find(|row| row.name == name).expect("a codec");
    let mut seeds = vec![];
    for at in 0..8 {
        let (mut coder, mut out) = ((row.make)(), vec![]);
        coder.sent(1, &page(at, 1), 1, true);
        // Its own content again is what `dedup` takes, another round's what `xbzrle` does.
        for round in [1, 2] {
            out.clear();
            if coder.encode(1, &page(at, round), &mut out) != Coded::Declined && !seeds.contains(&out) {
                seeds.push(out.clone());
            }
        }
    }
    seeds.truncate(4);
    seeds
}

struct Round(u32);

impl PageSource for Round {
    fn pages(&self) -> u32 {
        PAGES
    }

    fn read(&self, at: u32, into: &mut PageBytes) {
        *into = page(at, self.0);
    }

    fn touched(&self, into: &mut PageSet) -> Result<(), HostError> {
        into.union(&PageSet::full(PAGES));
        Ok(())
    }
}

fn stream(encoding: &str) -> Vec<u8> {
    let mut out = LaneOut::new(&Encoding::parse(encoding).expect("an encoding"));
    let mut wire = vec![];
    for round in 1..=2 {
        out.begin_round(round, false);
        for at in (0..24).chain(500..516) {
            if out.page(at, &Round(round)) {
                wire.extend_from_slice(out.take());
            }
        }
        out.end_round(round == 2);
        wire.extend_from_slice(out.take());
    }
    wire
}
