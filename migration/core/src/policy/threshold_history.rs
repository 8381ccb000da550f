//! The multistage proposal (Bhatia 2017): pages dirtied less often than the mean, and not lately.
//!
//! First round: [`stage_one`]. Later: with `u` the harvests that found a page dirty and `T` their mean, a page is sent
//! if `u < T` and none of the last `history` harvests found it dirty. Both variants of the proposal are here: the mean
//! over all pages, and over pages ever dirtied.
//!
//! Where the proposal leaves it open: counters run from the observation window on and are never set back; the mean is
//! not rounded; a page that never was dirtied is sent whatever `T` is (it is 0 while nothing was dirtied). Read
//! literally, a page at or above the mean is never sent before the end, and so it is here.

use super::{
    Policy, Scene, newest,
    stage_one::{self, Over},
};
use crate::{
    page::{PageBook, Plan},
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "threshold+history",
    about: "pages dirtied less often than the mean, and in none of the last rounds",
    params: &[
        Param {
            name: "history",
            about: "a page must have been clean in so many harvests",
            default: "3",
            kind: Kind::Whole(2, 8),
        },
        Param {
            name: "threshold",
            about: "the mean is over all pages, or over those ever dirtied",
            default: "all",
            kind: Kind::Word(Over::WORDS),
        },
    ],
    make: |values| {
        Box::new(ThresholdHistory {
            history: values.whole("history") as u32,
            over: Over::of(values.word("threshold")),
        })
    },
};

struct ThresholdHistory {
    history: u32,
    over: Over,
}

impl ThresholdHistory {
    /// The first counter that is not below the mean, and never below 1.
    fn limit(&self, book: &PageBook) -> u8 {
        let sum: u64 = book.dirtied().iter().copied().map(u64::from).sum();
        let count = self.over.counters(book).count() as u64;
        sum.div_ceil(count.max(1)).clamp(1, 255) as u8
    }
}

impl Policy for ThresholdHistory {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let (dirtied, history) = (scene.book.dirtied(), scene.book.history());
        let (limit, lately) = (self.limit(scene.book), newest(self.history));
        let passes = |page: u32| dirtied[page as usize] < limit && history[page as usize] & lately == 0;
        Plan::all(if scene.round == 1 {
            stage_one::pages(scene.book, passes)
        } else {
            scene.book.owed().filtered(passes)
        })
    }

    fn patience(&self) -> u32 {
        self.history
    }
}
