//! The pages of which the lanes keep what they last sent, and so can send differences: as many as their caches hold. The pages
//! alone; which of them displace which is the real cache's rule.

use godwit_migration::{codec::Encoding, limits::PAGE_BYTES, page::PageSet};

/// What the caches of all lanes hold.
pub(super) struct Kept {
    /// Pages that fit.
    room: u64,
    pages: PageSet,
    /// Pages sent in this round, and in the one before: these are not displaced.
    now: PageSet,
    before: PageSet,
}

impl Kept {
    /// Nothing yet, of a guest with so many `pages`, on lanes that send by `encode`.
    pub(super) fn nothing(encode: &Encoding, lanes: u8, pages: u32) -> Self {
        let none = PageSet::empty(pages);
        let room = encode.last_sent_mebibytes() * u64::from(lanes) * (1 << 20) / PAGE_BYTES as u64;
        Self { room, pages: none.clone(), now: none.clone(), before: none }
    }

    pub(super) fn round_begins(&mut self) {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.clear();
    }

    /// `sent` goes, pages of zeros apart. How many of them could go as differences instead.
    pub(super) fn sends(&mut self, sent: &PageSet) -> u64 {
        if self.room == 0 {
            return 0;
        }
        self.now.union(sent);
        let pairs = || sent.words().iter().zip(self.pages.words());
        let known = pairs().map(|(sent, kept)| u64::from((sent & kept).count_ones())).sum();
        if pairs().any(|(sent, kept)| sent & !kept != 0) {
            let mut missing = sent.clone();
            missing.subtract(&self.pages);
            self.take_in(&missing);
        }
        known
    }

    fn take_in(&mut self, missing: &PageSet) {
        let surplus = u64::from(missing.count()).saturating_sub(self.free());
        if surplus > 0 {
            // As many of the old ones go as are needed, or all.
            let mut old = self.pages.clone();
            old.subtract(&self.now);
            old.subtract(&self.before);
            old.iter().take(surplus as usize).for_each(|page| self.pages.remove(page));
        }
        let free = self.free();
        missing.iter().take(free as usize).for_each(|page| self.pages.insert(page));
    }

    fn free(&self) -> u64 {
        self.room - u64::from(self.pages.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pages: impl IntoIterator<Item = u32>) -> PageSet {
        let mut set = PageSet::empty(1024);
        pages.into_iter().for_each(|page| set.insert(page));
        set
    }

    fn kept() -> Kept {
        Kept::nothing(&Encoding::parse("zero,xbzrle,cache=1").expect("an encoding"), 1, 1024)
    }

    #[test]
    fn a_sweep_over_more_than_fits_keeps_what_came_first() {
        let mut kept = kept();
        for round in 0..2 {
            kept.round_begins();
            assert_eq!(kept.sends(&set(0..512)), 256 * round, "round {round}");
        }
    }

    #[test]
    fn what_two_rounds_did_not_send_makes_room() {
        let mut kept = kept();
        kept.round_begins();
        kept.sends(&set(0..256));
        for known in [0, 0, 10] {
            kept.round_begins();
            assert_eq!(kept.sends(&set(300..310)), known);
        }
        kept.round_begins();
        assert_eq!(kept.sends(&set(0..20)), 10, "the first ten have made room");
    }

    #[test]
    fn without_differences_nothing_is_kept() {
        let mut kept = Kept::nothing(&Encoding::parse("zero,zstd").expect("an encoding"), 2, 1024);
        kept.sends(&set(0..10));
        assert_eq!(kept.sends(&set(0..10)), 0);
    }
}
