//! What is saved of a vsock device.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use super::Vsock;

/// Saved state of a vsock device, version 1. Streams are not: their other ends are on the host that the guest leaves.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct VsockState {
    /// The guest's address.
    pub cid: u32,
    /// The port that the host's next client will have: the guest may still hold a stream with an earlier one.
    pub next_port: u32,
}

impl Schema for VsockState {
    const KIND: &'static str = "virtio-vsock";
    const VERSION: u16 = 1;
}

impl Save for Vsock {
    type State = VsockState;

    fn save(&self) -> Result<VsockState, StateError> {
        Ok(VsockState { cid: self.cid, next_port: self.streams.next_port() })
    }

    /// A device that takes over a state tells its driver that all streams are gone.
    fn restore(&mut self, state: &VsockState) -> Result<(), StateError> {
        let invalid = |reason| StateError::Invalid { instance: VsockState::KIND.into(), reason };
        if state.cid != self.cid {
            let (guest, own) = (state.cid, self.cid);
            return Err(invalid(format!(
                "the guest's address is {guest}, this device's {own}: give cid={guest}"
            )));
        }
        self.streams.set_next_port(state.next_port).map_err(invalid)?;
        self.reset_due = true;
        Ok(())
    }
}
