//! The generation of a guest (Microsoft's *Virtual Machine Generation ID*; ACPI `VM_Gen_Counter`): 16 bytes in its memory
//! that change when it is made from a copy, so that it does not use random numbers twice.
//!
//! A guest that moves is not a copy: its generation comes along with its memory. What restores a copy calls
//! [`Generation::renew`], and has the guest told (`GED_GENERATION` of [`crate::Power`]).

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress};

use crate::{GuestMemory, Lifecycle, sys::fill_random};

/// Bytes of a generation.
pub const GENERATION_BYTES: usize = 16;

/// The generation of a guest.
pub struct Generation {
    instance: String,
    memory: GuestMemory,
    address: GuestAddress,
    id: [u8; GENERATION_BYTES],
}

/// Saved state, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationState {
    /// The generation.
    pub id: [u8; GENERATION_BYTES],
}

impl Schema for GenerationState {
    const KIND: &'static str = "vmgenid";
    const VERSION: u16 = 1;
}

/// Why there is no new generation.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// The host has no random numbers.
    #[error("the host gives no random numbers for the guest's generation: {0}")]
    Random(#[from] std::io::Error),
    /// Its place is not in memory.
    #[error("the guest's generation has no place in its memory: {0}")]
    Memory(#[from] vm_memory::GuestMemoryError),
}

impl Generation {
    /// A guest without a generation yet: one that is booted is given one by [`renew`](Self::renew), one that arrives has
    /// its own. It stands at `address`, a multiple of 8.
    #[must_use]
    pub fn new(instance: &str, memory: GuestMemory, address: GuestAddress) -> Self {
        Self { instance: instance.into(), memory, address, id: [0; GENERATION_BYTES] }
    }

    /// The generation.
    #[must_use]
    pub fn id(&self) -> [u8; GENERATION_BYTES] {
        self.id
    }

    /// Gives the guest a new generation, by a random number that nobody has had. Only while no vCPU runs.
    ///
    /// # Errors
    /// [`GenerationError`]; the guest then has its old one.
    pub fn renew(&mut self) -> Result<(), GenerationError> {
        let mut id = [0; GENERATION_BYTES];
        fill_random(&mut id)?;
        self.memory.write_slice(&id, self.address)?;
        self.id = id;
        Ok(())
    }
}

impl Lifecycle for Generation {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {}

    fn resume(&mut self) {}
}

impl Save for Generation {
    type State = GenerationState;

    fn save(&self) -> Result<GenerationState, StateError> {
        Ok(GenerationState { id: self.id })
    }

    /// The bytes themselves come with the guest's memory.
    fn restore(&mut self, state: &GenerationState) -> Result<(), StateError> {
        self.id = state.id;
        Ok(())
    }
}
