//! Safari 2015 (not recently used, modified clock): pages of the not-recently-used classes go, the others wait.
//!
//! A reference bit and a modified bit make four classes. The clock's hand passes all pages once a round and clears their
//! reference bits.
//!
//! Where the paper meets this engine: a VMM sees writes and no reads. *Modified* is dirty in the last harvest,
//! *referenced* is dirty in one of the harvests before it that the hand has not cleared: one, or `window` if the hand
//! takes several rounds to come around. A page referenced before is held: it has to be left alone until the hand has
//! passed it. A page that was modified for the first time goes at once.

use super::{Policy, Scene, newest};
use crate::{
    page::Plan,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "nru-clock",
    about: "pages that were not dirty in the rounds before the last",
    params: &[Param {
        name: "window",
        about: "the clock's hand comes around in so many rounds",
        default: "1",
        kind: Kind::Whole(1, 7),
    }],
    make: |values| Box::new(NruClock { window: values.whole("window") as u32 }),
};

struct NruClock {
    window: u32,
}

impl Policy for NruClock {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let history = scene.book.history();
        let referenced = newest(self.window) << 1;
        Plan::all(scene.book.owed().filtered(|page| history[page as usize] & referenced == 0))
    }

    fn patience(&self) -> u32 {
        self.window + 1
    }
}
