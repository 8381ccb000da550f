//! The slow axis: whether the guest is held back so that pre-copy can catch up, and how much.
//!
//! A part is one file and one line in [`SLOWS`]. Whatever it asks for is undone at the end, whatever the end is.
//! Parts compare the rate at which the guest dirties pages with the rate at which pages arrive, both as measured in the
//! interval that the last harvest ended: [`Standing::dirty_bytes_per_s`] and [`Standing::page_bytes_per_s`].

mod dirty_limit;
mod halving;
mod last_resort;
mod none;
mod share;
mod steps;

#[cfg(test)]
mod slow_test;

use serde::{Deserialize, Serialize};

use crate::{
    convergence::Standing,
    part::{Choice, Row},
};

/// How much of the guest's work is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Throttle {
    /// Nothing.
    #[default]
    None,
    /// This share, 0 to 1, of the time of every vCPU.
    Share(f64),
    /// A vCPU that dirties more than this many pages per second is slowed to it; the others are left alone.
    DirtyLimit(f64),
}

impl Throttle {
    /// Whether this takes clearly more than `other` does: a hundredth of the time, or a twentieth of the limit.
    pub(crate) fn is_tighter_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::None, _) => false,
            (_, Self::None) => true,
            (Self::Share(a), Self::Share(b)) => a >= b + 0.01,
            (Self::DirtyLimit(a), Self::DirtyLimit(b)) => a <= b * 0.95,
            (Self::Share(_), Self::DirtyLimit(_)) | (Self::DirtyLimit(_), Self::Share(_)) => true,
        }
    }
}

/// The slow axis of a preset.
pub trait Slow: Send {
    /// What holds from here on, after a harvest that did not end pre-copy.
    fn decide(&mut self, standing: &Standing) -> Throttle;
}

/// Name of the part that needs to know how much each vCPU dirties: only dirty rings tell.
pub const DIRTY_LIMIT: &str = "dirty-limit";

/// All ways to slow a guest.
pub static SLOWS: &[Row<dyn Slow>] =
    &[none::ROW, steps::ROW, halving::ROW, share::ROW, dirty_limit::ROW, last_resort::ROW];

/// The part of this name, for one who has been patient already: it slows the guest when it is first asked.
pub(crate) fn slowed_at_once(name: &str) -> Option<Box<dyn Slow>> {
    let mut part = Choice::new(SLOWS.iter().find(|row| row.name == name)?);
    if part.has("patience") {
        part.set("patience", "0").ok()?;
    }
    Some(part.make())
}
