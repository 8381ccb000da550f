//! Why a saved thing could not be written or read back.

use thiserror::Error;

/// Errors of saving and restoring. Each names the section, so that a user knows which part of the machine it is.
#[derive(Debug, Error)]
pub enum StateError {
    /// No section of that kind and instance is in the set.
    #[error("the saved state has no section '{kind}' for '{instance}'")]
    Missing {
        /// Kind looked for.
        kind: String,
        /// Instance looked for.
        instance: String,
    },
    /// A section of another kind was handed to this schema.
    #[error("section '{instance}' holds a '{found}', not a '{expected}'")]
    WrongKind {
        /// Instance name of the section.
        instance: String,
        /// Kind the reader wanted.
        expected: &'static str,
        /// Kind the section has.
        found: String,
    },
    /// The payload was written by a version that this build cannot read.
    #[error(
        "section '{kind}' of '{instance}' has version {found}; this build reads versions {oldest} to {newest}"
    )]
    Version {
        /// Kind of the section.
        kind: String,
        /// Instance of the section.
        instance: String,
        /// Version of the payload.
        found: u16,
        /// Oldest version understood.
        oldest: u16,
        /// Newest version understood.
        newest: u16,
    },
    /// The payload does not decode, or has bytes left over.
    #[error("section '{kind}' of '{instance}' does not decode: {reason}")]
    Malformed {
        /// Kind of the section.
        kind: String,
        /// Instance of the section.
        instance: String,
        /// What the decoder said.
        reason: String,
    },
    /// Name or payload beyond the limit, or two sections with one name.
    #[error("section '{kind}' of '{instance}': {reason}")]
    Limit {
        /// Kind of the section.
        kind: String,
        /// Instance of the section.
        instance: String,
        /// Which limit, with its value.
        reason: String,
    },
    /// The payload decodes, but no such state can exist, or the thing itself failed to be saved or restored.
    #[error("'{instance}': {reason}")]
    Invalid {
        /// Instance of the section.
        instance: String,
        /// What is wrong, in words.
        reason: String,
    },
}
