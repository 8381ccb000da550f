//! The migration engine, and nothing of the world around it: no I/O, no clock, no thread, no `unsafe`.
//!
//! Two state machines talk to each other over the [`wire`] format: a [`source`], which decides what is worth sending,
//! and a [`target`], which trusts nothing. Whoever drives them carries out their actions and reports back: the real
//! driver is `godwit-transport`, and `godwit-lab` drives the same machines on virtual time.
//!
//! | to add | write one file in | and one line in |
//! |---|---|---|
//! | a policy (select, order) | [`policy`] | [`policy::POLICIES`] |
//! | a stop rule | [`convergence`] | [`convergence::STOPS`] |
//! | an encoding | [`codec`] | [`codec::CODECS`] |
//! | a preset | – | [`preset::PRESETS`] |
//!
//! The suites of these modules run over the registries: registering is being tested.

#![forbid(unsafe_code)]

pub mod codec;
pub mod convergence;
pub mod error;
pub mod host;
pub mod limits;
pub mod page;
pub mod policy;
pub mod preset;
pub mod report;
pub mod shape;
pub mod source;
pub mod target;
pub mod wire;
