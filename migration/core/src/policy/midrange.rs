//! Sharma and Chawla 2016: pages dirtied less often than the middle between the most and the least.
//!
//! First round: [`stage_one`]. Later: `T = ⌊(max(u) + min(u)) / 2⌋` anew in each round, with `u` the harvests that found
//! a page dirty; a page is sent if `u < T`, the others are held to the end.
//!
//! Where the paper leaves it open: over which pages the least is sought. Over all pages it is nearly always 0; the
//! parameter also takes the pages ever dirtied. A page that never was dirtied is sent whatever `T` is, which the floor
//! makes 0 while no page was dirtied twice.

use super::{
    Policy, Scene,
    stage_one::{self, Over},
};
use crate::{
    page::{PageBook, Plan},
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "midrange",
    about: "pages dirtied less often than the middle between the most and the least",
    params: &[Param {
        name: "threshold",
        about: "the least is over all pages, or over those ever dirtied",
        default: "all",
        kind: Kind::Word(Over::WORDS),
    }],
    make: |values| Box::new(Midrange { over: Over::of(values.word("threshold")) }),
};

struct Midrange {
    over: Over,
}

impl Midrange {
    /// The first counter that is not below the middle, and never below 1.
    fn limit(&self, book: &PageBook) -> u8 {
        let (least, most) =
            self.over.counters(book).fold((u8::MAX, 0), |(least, most), u| (least.min(u), most.max(u)));
        // Without a counter that counts, the least is above the most.
        least.min(most).midpoint(most).max(1)
    }
}

impl Policy for Midrange {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let (dirtied, limit) = (scene.book.dirtied(), self.limit(scene.book));
        let passes = |page: u32| dirtied[page as usize] < limit;
        Plan::all(if scene.round == 1 {
            stage_one::pages(scene.book, passes)
        } else {
            scene.book.owed().filtered(passes)
        })
    }
}
