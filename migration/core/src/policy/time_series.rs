//! The time-series baseline of several papers: a page dirty in `m` of its last `n` harvests is hot and held to the end.
//!
//! The papers differ in `n` and `m`; 8 and 3 are ours. With `m` above `n` no page is hot.

use super::{Policy, Scene, newest};
use crate::{
    page::Plan,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "time-series",
    about: "pages dirty in fewer than m of their last n harvests",
    params: &[
        Param { name: "n", about: "so many harvests are looked at", default: "8", kind: Kind::Whole(1, 8) },
        Param { name: "m", about: "dirty in so many of them is hot", default: "3", kind: Kind::Whole(1, 8) },
    ],
    make: |values| Box::new(TimeSeries { n: values.whole("n") as u32, m: values.whole("m") as u32 }),
};

struct TimeSeries {
    n: u32,
    m: u32,
}

impl Policy for TimeSeries {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let (history, looked_at) = (scene.book.history(), newest(self.n));
        Plan::all(
            scene.book.owed().filtered(|page| (history[page as usize] & looked_at).count_ones() < self.m),
        )
    }
}
