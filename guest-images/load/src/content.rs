//! What a page holds: a pure function of seed, page number and how often the page was written.
//!
//! Nothing is remembered about a page but its version, so each byte of memory can be checked at any time, also
//! after a move to another host. Text is made of words of a vocabulary, drawn with the skew of natural language;
//! it compresses like text (zstd level 1, page by page: between 2.3 and 2.7) and no two pages are alike.
//! This module touches no page itself. Neighbours: `ledger` (compares pages with it), `parameters` (names it).

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;
/// The largest number of bytes that one word of text takes, and the room a generator may use behind its end.
const SLOT_BYTES: usize = 16;
/// Words of the vocabulary; at most 2¹⁰. Fewer make text that compresses better.
const WORDS: usize = 512;

/// What the resident memory is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All bytes zero until a page is written; what is written then is text.
    Zero,
    /// Words, compressible as natural text is.
    Text,
    /// Incompressible.
    Random,
}

impl Content {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Text => "text",
            Self::Random => "random",
        }
    }
}

/// A page's bytes, aligned as a page's words are, with room for the last word of text behind its end.
#[repr(C, align(64))]
pub struct Scratch {
    bytes: [u8; PAGE_BYTES + SLOT_BYTES],
}

impl Scratch {
    /// A page of zeroes.
    pub const fn new() -> Self {
        Self { bytes: [0; PAGE_BYTES + SLOT_BYTES] }
    }

    /// The page.
    pub fn page(&self) -> &[u8] {
        &self.bytes[..PAGE_BYTES]
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// The generator of pages: the vocabulary, and the seed that makes one guest's memory differ from another's.
pub struct Generator {
    words: [[u8; SLOT_BYTES]; WORDS],
    lengths: [u8; WORDS],
    content: Content,
    seed: u64,
    write_bytes: usize,
}

impl Generator {
    /// A generator without a vocabulary; [`Generator::prepare`] completes it.
    pub const fn empty() -> Self {
        Self {
            words: [[0; SLOT_BYTES]; WORDS],
            lengths: [0; WORDS],
            content: Content::Zero,
            seed: 0,
            write_bytes: 0,
        }
    }

    /// Sets what the generator makes; `write_bytes` (8 to 4096) is how much of a page each write replaces.
    pub fn prepare(&mut self, content: Content, seed: u64, write_bytes: usize) {
        self.content = content;
        self.seed = seed;
        self.write_bytes = write_bytes.clamp(8, PAGE_BYTES);
        let mut random = Random::new(0x676f_6477_6974);
        for (word, length) in self.words.iter_mut().zip(self.lengths.iter_mut()) {
            *length = make_word(&mut random, word) as u8;
        }
    }

    /// The bytes at a page's start that each write replaces.
    pub fn write_bytes(&self) -> usize {
        self.write_bytes
    }

    /// The first 8 bytes of `page` at `version`: half of it names the page, half is the version.
    pub fn stamp(&self, page: u64, version: u32) -> u64 {
        if self.content == Content::Zero && version == 0 {
            return 0;
        }
        (mix(self.seed ^ mix(page)) | 1 << 63) & !0xffff_ffff | u64::from(version)
    }

    /// The whole of `page` at `version`.
    pub fn page(&self, page: u64, version: u32, out: &mut Scratch) {
        if version == 0 || self.write_bytes < PAGE_BYTES {
            self.body(page, 0, PAGE_BYTES, out);
        }
        self.written(page, version, out);
    }

    /// The bytes that bring `page` to `version`, at the start of `out`: [`Generator::write_bytes`] of them.
    pub fn written(&self, page: u64, version: u32, out: &mut Scratch) {
        if version != 0 && self.write_bytes > 8 {
            self.patch(page, version, out);
        }
        out.bytes[..8].copy_from_slice(&self.stamp(page, version).to_le_bytes());
    }

    /// The first `write_bytes` of `out` at `version`; what follows them stays.
    fn patch(&self, page: u64, version: u32, out: &mut Scratch) {
        let end = self.write_bytes;
        let mut behind = [0; SLOT_BYTES];
        behind.copy_from_slice(&out.bytes[end..end + SLOT_BYTES]);
        self.body(page, version, end, out);
        out.bytes[end..end + SLOT_BYTES].copy_from_slice(&behind);
    }

    fn body(&self, page: u64, version: u32, end: usize, out: &mut Scratch) {
        let mut random = Random::new(mix(self.seed ^ mix(page)) ^ mix(u64::from(version)));
        match self.content {
            Content::Zero if version == 0 => out.bytes[..end].fill(0),
            Content::Zero | Content::Text => self.text(&mut random, end, out),
            Content::Random => {
                for word in out.bytes[..end.next_multiple_of(8)].chunks_exact_mut(8) {
                    word.copy_from_slice(&random.next().to_le_bytes());
                }
            }
        }
    }

    fn text(&self, random: &mut Random, end: usize, out: &mut Scratch) {
        let mut at = 0;
        while at < end {
            let mut draw = random.next();
            for _ in 0..3 {
                if at >= end {
                    break;
                }
                // The product of two uniform draws is small more often than large: few words are frequent.
                let product = (draw & 0x3ff) * ((draw >> 10) & 0x3ff);
                let index = ((product * WORDS as u64) >> 20) as usize;
                draw >>= 20;
                out.bytes[at..at + SLOT_BYTES].copy_from_slice(&self.words[index]);
                at += usize::from(self.lengths[index]);
            }
        }
    }
}

/// Spells one word with the blank behind it, and returns its length.
fn make_word(random: &mut Random, word: &mut [u8; SLOT_BYTES]) -> usize {
    const ONSETS: [&[u8]; 16] =
        [b"t", b"n", b"s", b"r", b"l", b"d", b"m", b"h", b"c", b"p", b"st", b"th", b"w", b"g", b"tr", b"b"];
    const VOWELS: [&[u8]; 8] = [b"e", b"a", b"o", b"i", b"u", b"ea", b"e", b"o"];
    const CODAS: [&[u8]; 8] = [b"", b"n", b"", b"s", b"r", b"", b"ng", b"d"];
    // Two syllables of at most 6 letters, a comma and a blank fit a slot.
    let mut length = 0;
    for _ in 0..1 + random.below(2) {
        for part in [&ONSETS[..], &VOWELS, &CODAS] {
            for &letter in part[random.below(part.len() as u64) as usize] {
                word[length] = letter;
                length += 1;
            }
        }
    }
    if random.below(8) == 0 {
        word[length] = b',';
        length += 1;
    }
    word[length] = if random.below(16) == 0 { b'\n' } else { b' ' };
    length + 1
}

/// A fast pseudo-random sequence (splitmix64); not for secrets.
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence that belongs to `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `limit`, uniform but for a bias of at most `limit` in 2⁶⁴; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

/// Scatters the bits of `value` over the whole word (the finalizer of splitmix64).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
