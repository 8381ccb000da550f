//! A region of memory that knows what each of its pages must hold. Every word of a page follows from the region, the
//! page's number and its version, and the version is kept apart from the page: a page that is lost, corrupt, swapped
//! with another or merely old is seen.

use std::hint::black_box;

/// Bytes in a page.
pub const PAGE_BYTES: usize = 4096;
const WORDS: usize = PAGE_BYTES / 8;

#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u64; WORDS]);

/// Pages and the version each of them was last written with.
pub struct Region {
    seed: u64,
    pages: Vec<Page>,
    versions: Vec<u32>,
}

impl Region {
    /// Writes `pages` pages, version 0. Regions of different `seed` hold different words.
    pub fn new(seed: u64, pages: usize) -> Self {
        let mut region = Self { seed, pages: vec![Page([0; WORDS]); pages], versions: vec![0; pages] };
        (0..pages).for_each(|page| region.fill(page));
        region
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Writes the next version of `page`.
    pub fn rewrite(&mut self, page: usize) {
        self.versions[page] = self.versions[page].wrapping_add(1);
        self.fill(page);
    }

    /// Compares `page` with what it must hold.
    ///
    /// # Errors
    /// A sentence naming the page, its version and the first word that differs.
    pub fn check(&self, page: usize) -> Result<(), String> {
        let first = self.first_word(page);
        let words = &black_box(&self.pages[page]).0;
        match words.iter().zip(0..).find(|&(&word, index)| word != word_at(first, index)) {
            None => Ok(()),
            Some((&found, index)) => Err(format!(
                "page={page} region={} version={} word={index} expected={:#018x} found={found:#018x}",
                self.seed,
                self.versions[page],
                word_at(first, index)
            )),
        }
    }

    /// Puts a page of `other` where it does not belong.
    #[cfg(test)]
    pub fn swap_page(&mut self, other: &Self, page: usize) {
        self.pages[page] = other.pages[page].clone();
    }

    fn fill(&mut self, page: usize) {
        let first = self.first_word(page);
        for (word, index) in black_box(&mut self.pages[page]).0.iter_mut().zip(0..) {
            *word = word_at(first, index);
        }
    }

    fn first_word(&self, page: usize) -> u64 {
        mix(self.seed << 56 ^ (page as u64) << 32 ^ u64::from(self.versions[page]))
    }
}

fn word_at(first: u64, index: u64) -> u64 {
    first.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The finalizer of SplitMix64 (Steele et al., 2014): neighbouring numbers give unlike words.
fn mix(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_checks_out() {
        let mut region = Region::new(1, 4);
        region.rewrite(2);
        region.rewrite(2);
        (0..region.len()).for_each(|page| region.check(page).unwrap());
    }

    #[test]
    fn a_wrong_page_is_seen() {
        let mut region = Region::new(1, 4);
        let old = region.pages[0].clone();
        region.rewrite(0);

        region.pages[0] = old;
        assert!(region.check(0).unwrap_err().contains("page=0 region=1 version=1 word=0"), "an old version");
        region.pages[1].0[511] ^= 1 << 63;
        assert!(region.check(1).unwrap_err().contains("word=511"), "one bit");
        region.pages[2].0.fill(0);
        assert!(region.check(2).is_err(), "a lost page");
        region.pages[3] = Region::new(2, 4).pages[3].clone();
        assert!(region.check(3).is_err(), "another region's page");
    }
}
