//! A memory for the benchmarks, and what its pages hold.
//!
//! Text is made as the load guest makes it: words of syllables, drawn with the skew of natural language.

use std::sync::{OnceLock, RwLock};

use godwit_migration::{host::PageBytes, limits::PAGE_BYTES};

/// Pages of a block, which one lock guards.
const BLOCK: usize = 512;

/// A guest's memory, in blocks of 2 MiB.
pub struct Memory(Vec<RwLock<Vec<PageBytes>>>);

impl Memory {
    /// `pages` pages that `fill` fills.
    pub fn new(pages: u32, fill: impl Fn(u32, &mut PageBytes)) -> Self {
        let blocks = (0..pages).step_by(BLOCK).map(|first| {
            let mut block = vec![[0; PAGE_BYTES]; BLOCK];
            block.iter_mut().zip(first..).for_each(|(page, at)| fill(at, page));
            RwLock::new(block)
        });
        Self(blocks.collect())
    }

    pub fn len(&self) -> u32 {
        (self.0.len() * BLOCK) as u32
    }

    pub fn copy(&self, page: u32, into: &mut PageBytes) {
        *into = self.0[page as usize / BLOCK].read().expect("no panics")[page as usize % BLOCK];
    }

    pub fn store(&self, page: u32, bytes: &PageBytes) {
        self.0[page as usize / BLOCK].write().expect("no panics")[page as usize % BLOCK] = *bytes;
    }

    /// Calls `f` with every page where it is.
    pub fn each(&self, mut f: impl FnMut(u32, &PageBytes)) {
        for (first, block) in (0..).step_by(BLOCK).zip(&self.0) {
            let block = block.read().expect("no panics");
            block.iter().zip(first..).for_each(|(page, at)| f(at, page));
        }
    }

    /// All of it in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.0.len() * BLOCK * PAGE_BYTES);
        self.each(|_, page| all.extend_from_slice(page));
        all
    }

    /// Reads every byte as fast as can be.
    pub fn sum(&self) -> u64 {
        let mut all = [0; 128];
        self.each(|_, page| {
            for chunk in page.chunks_exact(128) {
                all.iter_mut().zip(chunk).for_each(|(all, byte)| *all |= byte);
            }
        });
        all.iter().map(|&byte| u64::from(byte)).sum()
    }

    /// Whether both hold the same.
    pub fn same(&self, other: &Self) -> bool {
        let blocks = self.0.iter().zip(&other.0);
        blocks.into_iter().all(|(a, b)| *a.read().expect("no panics") == *b.read().expect("no panics"))
    }
}

/// A sequence of random words (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Incompressible bytes.
pub fn noise(at: u32, page: &mut PageBytes) {
    let mut random = Random(u64::from(at) << 32 | 1);
    page.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&random.next().to_le_bytes()));
}

/// Text that zstd's level 1 makes 2.7 times smaller.
pub fn text(at: u32, page: &mut PageBytes) {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    let words = WORDS.get_or_init(vocabulary);
    let mut random = Random(u64::from(at) << 32 | 2);
    let mut filled = 0;
    while filled < PAGE_BYTES {
        let draw = random.next() as usize;
        let word = words[((draw & 0x3ff) * (draw >> 10 & 0x3ff) * words.len()) >> 20].as_bytes();
        let length = word.len().min(PAGE_BYTES - filled);
        page[filled..filled + length].copy_from_slice(&word[..length]);
        filled += length;
    }
}

fn vocabulary() -> Vec<String> {
    const ONSETS: [&str; 16] =
        ["t", "n", "s", "r", "l", "d", "m", "h", "c", "p", "st", "th", "w", "g", "tr", "b"];
    const VOWELS: [&str; 8] = ["e", "a", "o", "i", "u", "ea", "e", "o"];
    const CODAS: [&str; 8] = ["", "n", "", "s", "r", "", "ng", "d"];
    let mut random = Random(0x676f_6477_6974);
    let word = |_| {
        let mut word = String::new();
        for _ in 0..1 + random.below(2) {
            word += ONSETS[random.below(16)];
            word += VOWELS[random.below(8)];
            word += CODAS[random.below(8)];
        }
        word += if random.below(8) == 0 { "," } else { "" };
        word + if random.below(16) == 0 { "\n" } else { " " }
    };
    (0..512).map(word).collect()
}
