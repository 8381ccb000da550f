//! A set of page numbers as a bitmap, in the layout of KVM's dirty log: one bit a page, 64 to a word, low bit first.

use std::ops::Range;

use crate::limits::BLOCK_PAGES;

/// A set of pages of a guest with a fixed number of pages. One bit a page.
#[derive(Clone, PartialEq, Eq)]
pub struct PageSet {
    pages: u32,
    words: Vec<u64>,
}

impl std::fmt::Debug for PageSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.runs()).finish()
    }
}

impl PageSet {
    /// No page of a guest of `pages` pages.
    #[must_use]
    pub fn empty(pages: u32) -> Self {
        Self { pages, words: vec![0; pages.div_ceil(64) as usize] }
    }

    /// Every page.
    #[must_use]
    pub fn full(pages: u32) -> Self {
        let mut set = Self::empty(pages);
        set.words.fill(!0);
        set.trim();
        set
    }

    /// Number of pages of the guest, in the set or not.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Number of pages in the set. Where there are few it costs little more than reading the words: while the guest stands, that
    /// is what there is.
    #[must_use]
    pub fn count(&self) -> u32 {
        let counted = |words: &[u64]| words.iter().map(|w| w.count_ones()).sum::<u32>();
        let some = |words: &&[u64]| words.iter().fold(0, |all, w| all | w) != 0;
        self.words.chunks(8).filter(some).map(counted).sum()
    }

    /// Whether no page is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    /// Whether `page` is in the set; no page beyond the guest is.
    #[must_use]
    pub fn contains(&self, page: u32) -> bool {
        page < self.pages && self.words[page as usize / 64] >> (page % 64) & 1 == 1
    }

    /// Adds `page`, which must be one of the guest's.
    pub fn insert(&mut self, page: u32) {
        assert!(page < self.pages, "page {page} of {}", self.pages);
        self.words[page as usize / 64] |= 1 << (page % 64);
    }

    /// Takes `page` out.
    pub fn remove(&mut self, page: u32) {
        if page < self.pages {
            self.words[page as usize / 64] &= !(1 << (page % 64));
        }
    }

    /// Adds the pages of `range`, which must be the guest's.
    pub fn insert_range(&mut self, range: Range<u32>) {
        for page in range {
            self.insert(page);
        }
    }

    /// Takes the pages of `range` out.
    pub fn remove_range(&mut self, range: Range<u32>) {
        for page in range.start..range.end.min(self.pages) {
            self.remove(page);
        }
    }

    /// `self ∪= other`. Both of one guest.
    pub fn union(&mut self, other: &Self) {
        self.combine(other, |a, b| a | b);
    }

    /// `self −= other`.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, |a, b| a & !b);
    }

    /// `self ∩= other`.
    pub fn intersect(&mut self, other: &Self) {
        self.combine(other, |a, b| a & b);
    }

    /// Whether every page of `self` is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.pages == other.pages && self.words.iter().zip(&other.words).all(|(a, b)| a & !b == 0)
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// ORs `bits` in, as KVM's dirty log of a slot gives them: the lowest bit is page `first`, a multiple of 64.
    /// Bits beyond the guest are dropped.
    pub fn union_words(&mut self, first: u32, bits: &[u64]) {
        debug_assert_eq!(first % 64, 0);
        let at = first as usize / 64;
        for (word, bits) in self.words.iter_mut().skip(at).zip(bits) {
            *word |= bits;
        }
        self.trim();
    }

    /// The words, lowest page first: the layout of KVM's dirty log.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The pages in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| Bits(word).map(move |bit| i as u32 * 64 + bit))
    }

    /// The pages of the set that `keep` says yes to; it is asked for the pages of the set alone, in ascending order.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(u32) -> bool) -> Self {
        let kept = |(i, &word): (usize, &u64)| {
            Bits(word).filter(|&bit| keep(i as u32 * 64 + bit)).fold(0, |kept, bit| kept | 1 << bit)
        };
        Self { pages: self.pages, words: self.words.iter().enumerate().map(kept).collect() }
    }

    /// Number of pages of the set in each [block](crate::limits::BLOCK_PAGES) of the guest.
    #[must_use]
    pub fn count_by_block(&self) -> Vec<u32> {
        let block = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum();
        self.words.chunks(BLOCK_PAGES as usize / 64).map(block).collect()
    }

    /// The pages as maximal runs of consecutive pages, ascending.
    #[must_use]
    pub fn runs(&self) -> Runs<'_> {
        self.runs_in(0..self.pages)
    }

    /// The runs inside `range`, clipped to it.
    #[must_use]
    pub fn runs_in(&self, range: Range<u32>) -> Runs<'_> {
        Runs { set: self, at: range.start, end: range.end.min(self.pages) }
    }

    /// The first page at or after `from` whose membership is `wanted`, or `end`.
    fn next(&self, from: u32, end: u32, wanted: bool) -> u32 {
        let mut page = from;
        while page < end {
            let word = self.words[page as usize / 64];
            let word = if wanted { word } else { !word };
            let rest = word >> (page % 64);
            if rest != 0 {
                return (page + rest.trailing_zeros()).min(end);
            }
            page = (page / 64 + 1) * 64;
        }
        end
    }

    fn combine(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        assert_eq!(self.pages, other.pages, "sets of two guests");
        for (a, &b) in self.words.iter_mut().zip(&other.words) {
            *a = op(*a, b);
        }
    }

    fn trim(&mut self) {
        if let (Some(last), rest @ 1..) = (self.words.last_mut(), self.pages % 64) {
            *last &= (1 << rest) - 1;
        }
    }
}

/// Iterator over maximal runs of consecutive pages.
pub struct Runs<'a> {
    set: &'a PageSet,
    at: u32,
    end: u32,
}

impl Iterator for Runs<'_> {
    type Item = Range<u32>;

    fn next(&mut self) -> Option<Range<u32>> {
        let start = self.set.next(self.at, self.end, true);
        if start >= self.end {
            return None;
        }
        let stop = self.set.next(start, self.end, false);
        self.at = stop;
        Some(start..stop)
    }
}

/// The set bits of a word, lowest first.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(bit)
    }
}
