//! Bytes over the world: the engine's machines on real sockets, threads and clocks.
//!
//! The control link is a tokio task; lanes are plain threads on blocking sockets, because they do nothing but move
//! memory. What a migration asks of a machine are the two traits in [`host`]; this crate knows neither KVM nor devices.
//!
//! A connection is a [`socket`], in clear or by [`tls`], as its [`protection`] says.
//!
//! [`outgoing::migrate`] drives a source, [`incoming::receive`] a target; [`handle::Handle`] is how others watch and
//! cancel. Neighbours: `godwit-migration` decides everything, the machine in `godwit` implements the hosts.

pub mod address;
pub mod checking;
pub mod handle;
pub mod host;
pub mod incoming;
mod lanes;
mod link;
pub mod marks;
pub mod outgoing;
pub mod protection;
pub mod question;
pub mod send_buffer;
mod socket;
pub mod stream;
mod sys;
pub mod tls;

pub use lanes::{MAX_BYTES_PER_S, MIN_BYTES_PER_S, on_lane_start};
pub use socket::Listener;
