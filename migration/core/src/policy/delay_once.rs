//! Chen 2012 (DPDT, delayed transfer): a page written again before it went is delayed until a round leaves it alone.
//!
//! In Xen's terms, `to_send` = dirtied in the round before, `to_skip` = dirtied again in this one, and one more bitmap,
//! `to_delay`. A page is sent if it is not in `to_skip`, and in one of `to_send` and `to_delay` but not both; sent out of
//! delay it leaves `to_delay`; in `to_send` and `to_skip` it is not sent and enters it.
//!
//! Where the paper meets this engine: `to_skip` is a peek while the round runs. The lanes peek before each block and
//! leave out what has been written again, and a page that the plan named and the harvest after it finds dirty counts as
//! skipped, whether the write came before or after the copy. Two bits a page of its own.

use super::{Policy, Scene};
use crate::{
    page::{PageSet, Plan},
    part::Row,
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "delay-once",
    about: "owed pages; one written again while its round ran waits until a round leaves it alone",
    params: &[],
    make: |_| Box::new(DelayOnce { to_delay: PageSet::empty(0), planned: None }),
};

struct DelayOnce {
    to_delay: PageSet,
    /// What the last round was to send, until the harvest after it.
    planned: Option<PageSet>,
}

impl Policy for DelayOnce {
    fn observe(&mut self, scene: &Scene) {
        let Some(mut planned) = self.planned.take() else { return };
        self.to_delay.subtract(&planned);
        planned.intersect(scene.dirty);
        self.to_delay.union(&planned);
    }

    fn plan(&mut self, scene: &Scene) -> Plan {
        if self.to_delay.pages() == 0 {
            self.to_delay = PageSet::empty(scene.dirty.pages());
        }
        let mut both = self.to_delay.clone();
        both.intersect(scene.dirty);
        let mut pages = scene.book.owed().clone();
        pages.subtract(&both);
        self.planned = Some(pages.clone());
        Plan { skip_redirtied: true, ..Plan::all(pages) }
    }

    fn patience(&self) -> u32 {
        1
    }
}
