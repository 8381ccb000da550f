//! Zaw and Thein 2012 (LRU working set): the pages used most recently before the first round go in the stop-and-copy.
//!
//! A pre-processing phase keeps a list of the most recently used pages; the push phase sends what is outside of it, again
//! and again where it is dirtied; the list goes at the end. The paper keeps the list with an LRU cache over a splay tree;
//! the histories of the observation window give the same list in one pass.
//!
//! Where the paper leaves it open: *used* is written, because a VMM sees no reads; the list never changes once the rounds
//! have begun; its size is a share of the guest's pages; among pages of one harvest those with lower numbers come first.
//! One bit a page of its own.

use super::{Policy, Scene};
use crate::{
    page::{PageBook, PageSet, Plan},
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "working-set",
    about: "pages outside the working set that was seen before the first round",
    params: &[Param {
        name: "share",
        about: "the working set is at most this share of the guest's pages",
        default: "0.25",
        kind: Kind::Real(0.0, 1.0),
    }],
    make: |values| Box::new(WorkingSet { share: values.real("share"), list: None }),
};

struct WorkingSet {
    share: f64,
    /// The working set; nothing before the first plan.
    list: Option<PageSet>,
}

/// The `most` pages dirtied last, as far as histories tell.
fn most_recent(book: &PageBook, most: u32) -> PageSet {
    let mut list = PageSet::empty(book.owed().pages());
    let mut room = most;
    for age in 0..u8::BITS {
        for (page, _) in (0..).zip(book.history()).filter(|(_, h)| h.trailing_zeros() == age) {
            if room == 0 {
                return list;
            }
            list.insert(page);
            room -= 1;
        }
    }
    list
}

impl Policy for WorkingSet {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let most = (self.share * f64::from(scene.dirty.pages())) as u32;
        let list = self.list.get_or_insert_with(|| most_recent(scene.book, most));
        let mut pages = scene.book.owed().clone();
        pages.subtract(list);
        Plan::all(pages)
    }
}
