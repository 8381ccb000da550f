//! The tie between a Rust type and what it is called on disk and on the wire.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Section, StateError};

/// A type whose values can be a section's payload.
///
/// `VERSION` is raised whenever the encoding changes; older payloads are then read by [`Schema::upgrade`], and a
/// golden payload of each released version is kept in the tests of the type's owner.
pub trait Schema: Serialize + DeserializeOwned {
    /// What it is, in the field's words: `serial16550`, `vcpu`, `virtio-rng`.
    const KIND: &'static str;
    /// Version written by this build, counted from 1.
    const VERSION: u16;
    /// Oldest version that [`Schema::upgrade`] reads.
    const OLDEST: u16 = Self::VERSION;

    /// Reads a payload of an older `version` (`OLDEST..VERSION`).
    ///
    /// # Errors
    /// [`StateError::Version`] unless the type overrides this.
    fn upgrade(section: &Section) -> Result<Self, StateError> {
        Err(section.version_error::<Self>())
    }
}

/// A thing that can be saved, and rebuilt in place from what was saved.
///
/// `save` is called on a paused thing only; `restore` on a freshly made one that has not run.
/// Saving, restoring and saving again gives the same state.
pub trait Save {
    /// The typed payload.
    type State: Schema;

    /// The state as it is now.
    ///
    /// # Errors
    /// [`StateError::Invalid`] where the state cannot be read.
    fn save(&self) -> Result<Self::State, StateError>;

    /// Takes the state over. A hostile `state` is an error, never a panic.
    ///
    /// # Errors
    /// [`StateError::Invalid`] for a state that cannot be.
    fn restore(&mut self, state: &Self::State) -> Result<(), StateError>;
}
