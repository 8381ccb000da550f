//! What a saved thing is.
//!
//! Everything that outlives a process (a device, a vCPU, the VM's clock) is saved as a [`Section`]: a kind, the
//! instance's name, the version of the payload's schema, and the payload in [postcard]'s documented encoding.
//! [`Schema`] ties a Rust type to its kind and version, and says how older versions are read.
//! [`Save`] is what a thing that can be saved implements; there is no default, so nothing is forgotten silently.
//!
//! This crate knows nothing of KVM, devices, sockets or migration. Neighbours: `godwit-devices` and the machine
//! implement [`Save`]; `godwit-migration` carries sections without looking inside.

#![forbid(unsafe_code)]

mod error;
mod schema;
mod section;
#[cfg(test)]
mod section_test;

pub use error::StateError;
pub use schema::{Save, Schema};
pub use section::{MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_SECTIONS, Section, Sections};
