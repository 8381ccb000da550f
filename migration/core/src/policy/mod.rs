//! The select axis: which owed pages a round sends.
//!
//! A policy is pure: it sees the [`Scene`] and says what to send. It can only choose among owed pages; whatever it
//! leaves stays owed, so that a bad policy is slow and never wrong. A policy is one file and one line in [`POLICIES`];
//! the tests of this module run over that table.

mod all;
mod block_history;
mod delay_once;
mod hold_hot;
mod majority_history;
mod midrange;
mod nru_clock;
mod page_bitmap;
mod probability;
mod reuse_distance;
mod second_chance;
mod skip_redirtied;
mod stage_one;
mod threshold_history;
mod time_series;
mod working_set;

#[cfg(test)]
pub(crate) mod policy_test;
#[cfg(test)]
mod traces_test;

use std::time::Duration;

use crate::{
    arming::Arming,
    page::{PageBook, PageSet, Plan},
    part::Row,
};

/// What a policy can know: of every page, and of the migration so far.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The round that comes next, from 1. Zero while the guest is only watched.
    pub round: u32,
    /// Counter, history and owed of every page; the last harvest is in it.
    pub book: &'a PageBook,
    /// The pages of the last harvest; empty before the first.
    pub dirty: &'a PageSet,
    /// How long the interval was that the last harvest ended.
    pub interval: Duration,
    /// Pages sent so far, copies included.
    pub sent_pages: u64,
    /// Of these, pages that had been sent before.
    pub duplicate_pages: u64,
    /// Measured rate at which bytes of pages arrive at the target, encoding included; 0 before the first round.
    pub page_bytes_per_s: f64,
    /// Downtime the user asked for.
    pub budget: Duration,
    /// How long pre-copy may still take; [`Duration::MAX`] where there is no limit.
    pub time_left: Duration,
}

/// The select axis of a preset.
pub trait Policy: Send {
    /// A harvest has been taken into the book: for policies that keep more than counters and history.
    fn observe(&mut self, _scene: &Scene) {}

    /// What the round sends: a subset of `scene.book.owed()`. Nothing is an answer too, see [`Policy::patience`].
    fn plan(&mut self, scene: &Scene) -> Plan;

    /// After how many harvests without a round in between held pages can have become fit to go. Where a plan is empty
    /// the guest is looked at again, so often in a row at the most; then pre-copy is over.
    fn patience(&self) -> u32 {
        0
    }

    /// When pages are armed, where nothing is observed before the first round.
    fn arming(&self) -> Arming {
        Arming::AtOnce
    }
}

/// All policies.
pub static POLICIES: &[Row<dyn Policy>] = &[
    all::ROW,
    hold_hot::ROW,
    skip_redirtied::ROW,
    delay_once::ROW,
    threshold_history::ROW,
    midrange::ROW,
    second_chance::ROW,
    time_series::ROW,
    majority_history::ROW,
    block_history::ROW,
    reuse_distance::ROW,
    page_bitmap::ROW,
    working_set::ROW,
    nru_clock::ROW,
    probability::ROW,
];

/// The bits of the newest `harvests`, 1 to 8 of them, in a page's history.
fn newest(harvests: u32) -> u8 {
    u8::MAX >> (u8::BITS - harvests.clamp(1, u8::BITS))
}
