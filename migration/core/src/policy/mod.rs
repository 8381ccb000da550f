//! Which owed pages a round sends, and in which order.
//!
//! A policy is pure: it sees the page book and says what to send. It can only choose among owed pages; whatever it
//! leaves stays owed, so that a bad policy is slow and never wrong. A policy is one file and one line in [`POLICIES`];
//! the tests of this module run over that table.

mod all;
mod skip_redirtied;

#[cfg(test)]
mod policy_test;

use crate::page::{PageBook, Plan};

/// The select and order axes of a preset.
pub trait Policy: Send {
    /// What `round` (from 1) sends: a subset of `book.owed()`.
    fn plan(&mut self, round: u32, book: &PageBook) -> Plan;
}

/// A row of the registry.
pub struct PolicyRow {
    /// Name in presets.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Makes one for a guest.
    pub make: fn() -> Box<dyn Policy>,
}

/// All policies.
pub static POLICIES: &[PolicyRow] = &[all::ROW, skip_redirtied::ROW];
