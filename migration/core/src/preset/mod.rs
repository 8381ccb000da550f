//! Presets: a published scheme as one row of choices, and the scheme that comes of a row and what a user changed.

mod rows;
mod scheme;

#[cfg(test)]
mod preset_test;

use std::time::Duration;

pub use self::{
    rows::PRESETS,
    scheme::{Overrides, Scheme},
};

/// A published scheme: a choice on every axis, in the grammar of [`crate::part`].
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What `--preset` takes.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// How long the guest is watched before the first round, in harvests.
    pub observe: Observe,
    /// Which owed pages: a part of [`POLICIES`](crate::policy::POLICIES).
    pub select: &'static str,
    /// In which order: a part of [`ORDERS`](crate::order::ORDERS).
    pub order: &'static str,
    /// When pre-copy is over: parts of [`STOPS`](crate::convergence::STOPS); the first that fires wins.
    pub stop: &'static str,
    /// Whether the guest is slowed: a part of [`SLOWS`](crate::slow::SLOWS).
    pub slow: &'static str,
    /// How pages travel: parts of [`ENCODINGS`](crate::codec::ENCODINGS), tried in this order.
    pub encode: &'static str,
}

/// The observation window before the first round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observe {
    /// Number of harvests.
    pub harvests: u32,
    /// Time between them.
    pub every: Duration,
}

impl Observe {
    /// No window.
    pub const NONE: Self = Self { harvests: 0, every: Duration::ZERO };
}

/// The preset of that name.
///
/// # Errors
/// A sentence that lists the names there are.
pub fn by_name(name: &str) -> Result<&'static Preset, String> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        format!("there is no preset '{name}'; there are: {}", names.join(", "))
    })
}
