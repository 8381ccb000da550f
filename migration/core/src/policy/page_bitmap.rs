//! Ma et al. 2010 (page bitmap): a page dirtied in two consecutive rounds is sent in the last round only.
//!
//! Where the paper leaves it open: a page stays in the bitmap for good, also when it has come clean. One bit a page of
//! its own.

use super::{Policy, Scene};
use crate::{
    page::{PageSet, Plan},
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "page-bitmap",
    about: "pages that never were dirty in consecutive rounds",
    params: &[Param {
        name: "consecutive",
        about: "dirty in so many rounds in a row enters the bitmap",
        default: "2",
        kind: Kind::Whole(2, 8),
    }],
    make: |values| {
        Box::new(PageBitmap { held: PageSet::empty(0), consecutive: values.whole("consecutive") as u32 })
    },
};

struct PageBitmap {
    held: PageSet,
    consecutive: u32,
}

impl Policy for PageBitmap {
    fn observe(&mut self, scene: &Scene) {
        let (history, run) = (scene.book.history(), super::newest(self.consecutive));
        let again = scene.dirty.filtered(|page| history[page as usize] & run == run);
        if self.held.pages() == 0 {
            self.held = again;
        } else {
            self.held.union(&again);
        }
    }

    fn plan(&mut self, scene: &Scene) -> Plan {
        let mut pages = scene.book.owed().clone();
        if self.held.pages() > 0 {
            pages.subtract(&self.held);
        }
        Plan::all(pages)
    }
}
