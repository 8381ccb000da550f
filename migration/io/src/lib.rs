//! Bytes over the world: the engine's machines on real sockets, threads and clocks.
//!
//! The control link is a tokio task; lanes are plain threads on blocking sockets, because they do nothing but move
//! memory. What a migration asks of a machine are the two traits in [`host`]; this crate knows neither KVM nor devices.
//!
//! [`outgoing::migrate`] drives a source, [`incoming::receive`] a target; [`handle::Handle`] is how others watch and
//! cancel. Neighbours: `godwit-migration` decides everything, the machine in `godwit` implements the hosts.

pub mod address;
pub mod handle;
pub mod host;
pub mod incoming;
mod lanes;
mod link;
pub mod outgoing;
mod socket;
mod sys;

pub use socket::Listener;
