//! Das 2015 (blocks): a page goes if it is clean in this round and was clean as often as dirty since it was last sent.
//!
//! The order of the scheme, blocks by the dirty bits recorded so far, is the order `least-dirtied-block-first`.
//!
//! Where the paper leaves it open: *clean in this round* is what the last harvest says; the counts begin with tracking,
//! and, for a page that is sent, anew. One byte a page of its own.

use super::{Policy, Scene};
use crate::{page::Plan, part::Row};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "block-history",
    about: "clean pages that were clean as often as dirty since they were last sent",
    params: &[],
    make: |_| Box::new(BlockHistory { balance: vec![] }),
};

/// Harvests in a row that free a page; one that was dirty more often waits longer than is looked again for.
const PATIENCE: u32 = 3;

struct BlockHistory {
    /// Clean harvests less dirty ones of each page since it was last sent; saturates.
    balance: Vec<i8>,
}

impl Policy for BlockHistory {
    fn observe(&mut self, scene: &Scene) {
        self.balance.resize(scene.dirty.pages() as usize, 0);
        for (&word, balance) in scene.dirty.words().iter().zip(self.balance.chunks_mut(64)) {
            if word == 0 {
                balance.iter_mut().for_each(|b| *b = b.saturating_add(1));
            } else {
                let dirty = |bit: usize| word >> bit & 1 == 1;
                let step =
                    |(bit, b): (usize, &mut i8)| *b = b.saturating_add(if dirty(bit) { -1 } else { 1 });
                balance.iter_mut().enumerate().for_each(step);
            }
        }
    }

    fn plan(&mut self, scene: &Scene) -> Plan {
        self.balance.resize(scene.dirty.pages() as usize, 0);
        let mut clean = scene.book.owed().clone();
        clean.subtract(scene.dirty);
        let pages = clean.filtered(|page| self.balance[page as usize] >= 0);
        pages.iter().for_each(|page| self.balance[page as usize] = 0);
        Plan::all(pages)
    }

    fn patience(&self) -> u32 {
        PATIENCE
    }
}
