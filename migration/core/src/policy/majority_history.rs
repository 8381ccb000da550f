//! Jain and Agrawal 2016 (two phases): a page is held while its history has more dirty entries than clean ones.
//!
//! Phase 1 takes the pages dirtied in the round before and not again in this one: Xen's peek, by the lanes. Phase 2 asks
//! the recorded history.
//!
//! Where the paper leaves it open: the history is a register of fixed length that begins clean, so that one dirty round
//! alone holds nothing; as many dirty entries as clean ones is not *more*.

use super::{Policy, Scene, newest};
use crate::{
    page::Plan,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "majority-history",
    about: "pages not written again, whose history is not mostly dirty",
    params: &[Param {
        name: "history",
        about: "so many harvests are looked at",
        default: "4",
        kind: Kind::Whole(1, 8),
    }],
    make: |values| Box::new(MajorityHistory { history: values.whole("history") as u32 }),
};

struct MajorityHistory {
    history: u32,
}

impl Policy for MajorityHistory {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let (history, looked_at) = (scene.book.history(), newest(self.history));
        let mostly_dirty = |page: u32| (history[page as usize] & looked_at).count_ones() * 2 > self.history;
        let pages = scene.book.owed().filtered(|page| !mostly_dirty(page));
        Plan { skip_redirtied: true, ..Plan::all(pages) }
    }
}
