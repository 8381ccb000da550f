//! A coder for each page by what the page is like (Jin et al., MECOM, Cluster 2009): many words that were just there are
//! for the run-length coder, some for zstd, and where there are hardly any the page goes as it is.
//!
//! Similarity is measured as in the paper: words of 4 bytes, against a dictionary of 16 recent ones; a word counts when
//! it is zero or its upper 22 bits are those of an entry. The paper's coder for strong similarity is a dictionary coder
//! (WKdm); ours is `rle`, and a page that it declines is zstd's. The paper gives no thresholds: three quarters, and one
//! in 50 (random words match once in 10⁵, text a few times in a hundred).

use super::{Codec, Coded, Held, refused, rle::Rle, zstd_page::ZstdPage};
use crate::{error::LaneError, host::PageBytes, limits::PAGE_BYTES};

const WORDS: usize = PAGE_BYTES / 4;
/// Matches from which on similarity is strong.
const STRONG: usize = WORDS * 3 / 4;
/// Matches from which on it is mild.
const MILD: usize = WORDS / 50;

pub(super) struct Adaptive(ZstdPage);

impl Adaptive {
    /// With zstd at this level.
    pub(super) fn new(level: i32) -> Self {
        Self(ZstdPage::new(level))
    }
}

impl Codec for Adaptive {
    fn encode(&mut self, page: u32, bytes: &PageBytes, out: &mut Vec<u8>) -> Coded {
        let matches = matches(bytes);
        if matches >= STRONG
            && let used @ Coded::Used(_) = Rle.encode(page, bytes, out)
        {
            return used;
        }
        if matches >= MILD { self.0.encode(page, bytes, out) } else { Coded::Declined }
    }

    fn decode(&mut self, _: u32, _: &[u8], _: &dyn Held, _: &mut PageBytes) -> Result<(), LaneError> {
        Err(refused("adaptive", "which is no encoding of its own"))
    }
}

/// Words that are zero or like a recent one.
fn matches(bytes: &PageBytes) -> usize {
    let mut dictionary = [0u32; 16];
    bytes
        .chunks_exact(4)
        .filter(|word| {
            let high = u32::from_le_bytes([word[0], word[1], word[2], word[3]]) >> 10;
            let entry = &mut dictionary[(high.wrapping_mul(0x9e37_79b1) >> 28) as usize];
            high == 0 || std::mem::replace(entry, high) == high
        })
        .count()
}

#[cfg(test)]
mod adaptive_test {
    use super::*;
    use crate::codec::{
        by_name,
        codec_test::{noise, text},
    };

    #[test]
    fn similarity_chooses_the_coder() {
        let way = |page: &PageBytes| Adaptive::new(1).encode(0, page, &mut vec![]);
        let id = |name| Coded::Used(by_name(name).unwrap().wire_id);
        let mut sparse = [0; PAGE_BYTES];
        sparse[100] = 7;
        assert_eq!(way(&sparse), id("rle"));
        assert_eq!(way(&text(1)), id("zstd-page"));
        assert_eq!(way(&noise(1)), Coded::Declined);
    }
}
