//! What is known of every page: what is owed, how often it was found dirty, and when.

use super::PageSet;

/// The engine's bookkeeping: 2 bytes and one bit a page.
///
/// `owed = (owed ∪ dirty) − sent` is kept here and nowhere else, so that a bad policy is slow and never wrong.
pub struct PageBook {
    owed: PageSet,
    /// `u_i`: in how many harvests page `i` was dirty since tracking began; saturates.
    dirtied: Vec<u8>,
    /// `h_i`: the last 8 harvests, newest in the lowest bit.
    history: Vec<u8>,
    harvests: u32,
}

impl PageBook {
    /// Every page owed, nothing known.
    #[must_use]
    pub fn new(pages: u32) -> Self {
        Self {
            owed: PageSet::full(pages),
            dirtied: vec![0; pages as usize],
            history: vec![0; pages as usize],
            harvests: 0,
        }
    }

    /// Takes a harvest in: one pass. A word without a dirty page costs a vector shift of its 64 histories.
    pub fn observe(&mut self, dirty: &PageSet) {
        self.owed.union(dirty);
        self.harvests += 1;
        let pages = self.history.chunks_mut(64).zip(self.dirtied.chunks_mut(64));
        for (&word, (history, dirtied)) in dirty.words().iter().zip(pages) {
            history.iter_mut().for_each(|h| *h <<= 1);
            let mut rest = word;
            while rest != 0 {
                let bit = rest.trailing_zeros() as usize;
                history[bit] |= 1;
                dirtied[bit] = dirtied[bit].saturating_add(1);
                rest &= rest - 1;
            }
        }
    }

    /// Takes the last harvest in, after which nobody asks for histories: the guest stands still for it.
    pub fn observe_last(&mut self, dirty: &PageSet) {
        self.owed.union(dirty);
        self.harvests += 1;
    }

    /// `pages` have been handed to the lanes.
    pub fn sent(&mut self, pages: &PageSet) {
        self.owed.subtract(pages);
    }

    /// `pages` hold nothing: fresh memory at the target is already right.
    pub fn nothing_in(&mut self, pages: &PageSet) {
        self.owed.subtract(pages);
    }

    /// What must still go.
    #[must_use]
    pub fn owed(&self) -> &PageSet {
        &self.owed
    }

    /// `u_i`: harvests that found each page dirty, saturating at 255.
    #[must_use]
    pub fn dirtied(&self) -> &[u8] {
        &self.dirtied
    }

    /// `h_i`: the last 8 harvests of each page, newest in the lowest bit.
    #[must_use]
    pub fn history(&self) -> &[u8] {
        &self.history
    }

    /// Number of harvests taken in.
    #[must_use]
    pub fn harvests(&self) -> u32 {
        self.harvests
    }
}
