//! Faults on purpose, at named steps of the protocol, with the guest as witness.
//!
//! A [`case::Case`] names one injection; [`matrix`] lists many. [`wire`] is the network between the two processes: it
//! reads enough of the stream ([`units`]) to know the steps ([`point`]), and does there what a [`fault`] says; [`strike`]
//! does what is done to processes, on a [`disk`] for instance. [`cipher`] seals the stream, of which then only the records
//! are seen. [`run`] plays a case, [`person`] is the operator who clears
//! up after it, [`witness`] lets the guest say whether it runs once, and whole, and [`table`] counts what came of it.
//! [`soak`] moves one guest for a long time, and [`footprint`] is what that must not cost.

pub mod case;
#[cfg(test)]
mod case_test;
pub mod cipher;
pub mod disk;
#[cfg(test)]
mod disk_test;
pub mod fault;
pub mod footprint;
pub mod matrix;
pub mod person;
pub mod point;
pub mod run;
pub mod soak;
pub mod strike;
pub mod table;
pub mod units;
#[cfg(test)]
mod units_test;
pub mod wire;
pub mod witness;
