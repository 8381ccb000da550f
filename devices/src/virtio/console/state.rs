//! What is saved of a console device.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use super::Console;

/// Saved state of a console device, version 1. The host's ends of its ports are not.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleState {
    /// Its ports by number.
    pub ports: Vec<PortState>,
}

/// A port, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct PortState {
    /// Its name; empty for a console.
    pub name: String,
    /// Somebody in the guest has it open.
    pub guest_open: bool,
    /// The driver was told that somebody is at the host's end.
    pub told_open: bool,
    /// Messages that the driver is to be sent, a bit each: it is there, it is a console, its name, whether it is open.
    pub owed: u8,
}

impl Schema for ConsoleState {
    const KIND: &'static str = "virtio-console";
    const VERSION: u16 = 1;
}

impl Save for Console {
    type State = ConsoleState;

    fn save(&self) -> Result<ConsoleState, StateError> {
        Ok(ConsoleState { ports: self.ports.iter().map(super::Port::save).collect() })
    }

    fn restore(&mut self, state: &ConsoleState) -> Result<(), StateError> {
        let invalid = |reason| StateError::Invalid { instance: ConsoleState::KIND.into(), reason };
        if state.ports.len() != self.ports.len() {
            let (guest, own) = (state.ports.len(), self.ports.len());
            return Err(invalid(format!("the guest has {guest} console ports, this side {own}")));
        }
        self.ports
            .iter_mut()
            .zip(&state.ports)
            .try_for_each(|(port, state)| port.restore(state))
            .map_err(invalid)
    }
}
