//! Agrawal 2013 (second chance and time series): an owed page goes after it has been clean for two rounds.
//!
//! The first round sends all. Later, a page that was dirtied in the round before and not in this one is marked, and sent
//! if it stays clean for two consecutive rounds. The scheme turns into plain pre-copy, for good, when 28 rounds are done,
//! fewer than 55 dirty pages are left, or duplicate pages exceed 2.5 times the guest's memory.
//!
//! Where the paper leaves it open: *dirty pages left* are those owed; the page's own second clean round is the second
//! of the two. How the plain pre-copy ends is not told; the three numbers lie just before Xen's, and Xen's rules end it.

use super::{Policy, Scene, newest};
use crate::{
    limits::{MAX_PAGES, MAX_ROUNDS},
    page::Plan,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "second-chance",
    about: "pages clean for two rounds; every owed page once it has gone on for too long",
    params: &[
        Param {
            name: "clean",
            about: "a page must have been clean in so many harvests",
            default: "2",
            kind: Kind::Whole(1, 8),
        },
        Param {
            name: "rounds",
            about: "plain pre-copy when so many rounds are done",
            default: "28",
            kind: Kind::Whole(1, MAX_ROUNDS as u64),
        },
        Param {
            name: "few",
            about: "plain pre-copy when fewer pages are owed",
            default: "55",
            kind: Kind::Whole(0, MAX_PAGES as u64),
        },
        Param {
            name: "duplicates",
            about: "plain pre-copy when duplicates exceed so many times the guest's memory",
            default: "2.5",
            kind: Kind::Real(0.0, 1000.0),
        },
    ],
    make: |values| {
        Box::new(SecondChance {
            clean: values.whole("clean") as u32,
            rounds: values.whole("rounds"),
            few: values.whole("few"),
            duplicates: values.real("duplicates"),
            plain: false,
        })
    },
};

struct SecondChance {
    clean: u32,
    rounds: u64,
    few: u64,
    duplicates: f64,
    /// Plain pre-copy from here on.
    plain: bool,
}

impl Policy for SecondChance {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let owed = scene.book.owed();
        if scene.round == 1 {
            return Plan::all(owed.clone());
        }
        self.plain |= u64::from(scene.round) > self.rounds
            || u64::from(owed.count()) < self.few
            || scene.duplicate_pages as f64 > self.duplicates * f64::from(owed.pages());
        if self.plain {
            return Plan::all(owed.clone());
        }
        let (history, lately) = (scene.book.history(), newest(self.clean));
        Plan::all(owed.filtered(|page| history[page as usize] & lately == 0))
    }

    fn patience(&self) -> u32 {
        self.clean
    }
}
