//! The migration engine, and nothing of the world around it: no I/O, no clock, no thread, no `unsafe`.
//!
//! Two state machines talk to each other over the [`wire`] format: a [`source`], which decides what is worth sending,
//! and a [`target`], which trusts nothing. Whoever drives them carries out their actions and reports back: the real
//! driver is `godwit-transport`, and `godwit-lab` drives the same machines on virtual time.
//!
//! | to add | write one file in | and one line in |
//! |---|---|---|
//! | a policy (select) | [`policy`] | [`policy::POLICIES`] |
//! | an order | [`order`] | [`order::ORDERS`] |
//! | a way to slow the guest | [`slow`] | [`slow::SLOWS`] |
//! | a stop rule | [`convergence`] | [`convergence::STOPS`] |
//! | an encoding | [`codec`] | [`codec::CODECS`] |
//! | a predictor | [`predict`] | [`predict::PREDICTORS`] |
//! | a preset | – | [`preset::PRESETS`] |
//!
//! The suites of these modules run over the registries: registering is being tested.

#![forbid(unsafe_code)]

pub mod arming;
pub mod cancellation;
pub mod codec;
pub mod convergence;
pub mod error;
pub mod host;
pub mod limits;
pub mod order;
pub mod page;
pub mod part;
#[cfg(test)]
mod part_test;
pub mod policy;
pub mod predict;
pub mod preset;
pub mod pulse;
#[cfg(test)]
mod pulse_test;
pub mod report;
pub mod shape;
pub mod slow;
pub mod source;
pub mod target;
pub mod wire;
