//! Why a migration ended otherwise than with a running guest at the target, in classes that a caller acts on.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::HostError;

/// What kind of failure it is; decides what a caller may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The peer broke the protocol, or speaks another one. Trying again will not help.
    Protocol,
    /// The target cannot take this machine; the reasons say why.
    Incompatible,
    /// This host failed: KVM, memory, a file.
    Local,
    /// The peer gave up and said why.
    Peer,
    /// The connection was refused, lost, or stayed silent. Trying again may help.
    Link,
    /// Somebody here asked for it.
    Cancelled,
    /// The guest ended on its own: powered off, rebooted or crashed before it had moved.
    Guest,
    /// Pre-copy did not get there in the time it was given.
    Timeout,
    /// The right to run was handed over and no answer came: the guest may be running at the target.
    Unknown,
}

/// A failed migration: class, where it was, and a sentence for a person.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[error("{reason} (in phase {phase}, round {round})")]
pub struct MigrationError {
    /// The class.
    pub class: Class,
    /// The phase it happened in.
    pub phase: String,
    /// Rounds begun by then.
    pub round: u32,
    /// What happened, in words.
    pub reason: String,
}

/// The peer sent what it must not send. Never the fault of this host.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the peer broke the protocol: {0}")]
pub struct ProtocolError(pub String);

impl ProtocolError {
    /// An error from anything that can be shown.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Why a lane cannot go on.
#[derive(Debug, Error)]
pub enum LaneError {
    /// The peer's fault.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Ours.
    #[error(transparent)]
    Host(#[from] HostError),
}
