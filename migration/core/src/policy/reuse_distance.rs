//! Alamdari and Zamanifar 2012: a page whose reuse distance is small is updated often, and held to the end.
//!
//! The reuse distance of a page is the number of distinct other pages dirtied between two consecutive dirtyings of it.
//!
//! Where the paper meets this engine: within a harvest the order of writes is not known, so the harvests of both
//! dirtyings count whole, and of the last 8 harvests the latest two that found the page dirty. Pages with the same two
//! harvests have the same distance, so all comes from one histogram of the histories, without state of its own. A page
//! dirtied once has no distance and is sent. What *small* is the paper leaves to tuning; here it is a share of the
//! guest's pages, so that a guest which churns all its memory has no page that is worth holding.

use super::{Policy, Scene};
use crate::{
    page::Plan,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "reuse-distance",
    about: "pages whose last two dirtyings lie many other dirtied pages apart",
    params: &[Param {
        name: "near",
        about: "a distance below this share of the guest's pages is small",
        default: "0.25",
        kind: Kind::Real(0.0, 1.0),
    }],
    make: |values| Box::new(ReuseDistance { near: values.real("near") }),
};

struct ReuseDistance {
    near: f64,
}

/// The harvests from the latest dirtying in `history` to the one before it, both included.
fn last_reuse(history: u8) -> Option<u8> {
    let latest = history.trailing_zeros();
    let before = (history & history.wrapping_sub(1)).trailing_zeros();
    (before < u8::BITS).then(|| span(latest, before))
}

/// The bits from `latest` up to `before`, both included.
fn span(latest: u32, before: u32) -> u8 {
    (u8::MAX >> (7 - before)) & (u8::MAX << latest)
}

impl Policy for ReuseDistance {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let history = scene.book.history();
        let mut pages_by_history = [0u32; 256];
        history.iter().for_each(|&h| pages_by_history[usize::from(h)] += 1);
        let limit = self.near * history.len() as f64;
        // By the harvests between two dirtyings: 28 pairs of them.
        let mut is_near = [false; 256];
        for (before, latest) in
            (1..u8::BITS).flat_map(|before| (0..before).map(move |latest| (before, latest)))
        {
            let between = span(latest, before);
            let dirtied = (0..=u8::MAX).zip(&pages_by_history).filter(|(other, _)| other & between != 0);
            let distinct: u32 = dirtied.map(|(_, pages)| pages).sum();
            is_near[usize::from(between)] = f64::from(distinct.saturating_sub(1)) < limit;
        }
        let near: [bool; 256] =
            std::array::from_fn(|h| last_reuse(h as u8).is_some_and(|between| is_near[usize::from(between)]));
        Plan::all(scene.book.owed().filtered(|page| !near[usize::from(history[page as usize])]))
    }
}
