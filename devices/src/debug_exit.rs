//! A port that ends the run with a status of the guest's choice, as QEMU's isa-debug-exit: for test guests.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use crate::{Lifecycle, PioDevice, Stop, StopLine};

/// First port; the device takes [`DEBUG_EXIT_PORT_COUNT`] from here.
pub const DEBUG_EXIT_PORT: u16 = 0xf4;
/// Number of ports.
pub const DEBUG_EXIT_PORT_COUNT: u16 = 4;

/// The debug-exit port.
pub struct DebugExit {
    instance: String,
    stop: StopLine,
}

/// Saved state: the device has none.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct DebugExitState {}

impl Schema for DebugExitState {
    const KIND: &'static str = "debug-exit";
    const VERSION: u16 = 1;
}

impl DebugExit {
    /// A port that asks for [`Stop::DebugExit`] on `stop`.
    #[must_use]
    pub fn new(instance: &str, stop: StopLine) -> Self {
        Self { instance: instance.into(), stop }
    }
}

impl PioDevice for DebugExit {
    fn read(&mut self, _: u16, data: &mut [u8]) {
        data.fill(0);
    }

    /// Any write counts; bytes that a narrow one does not carry are zero.
    fn write(&mut self, _: u16, data: &[u8]) {
        let value = data.iter().take(4).rev().fold(0_u32, |value, byte| (value << 8) | u32::from(*byte));
        self.stop.ask(Stop::DebugExit { code: (value << 1) | 1 });
    }
}

impl Lifecycle for DebugExit {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {}

    fn resume(&mut self) {}
}

impl Save for DebugExit {
    type State = DebugExitState;

    fn save(&self) -> Result<DebugExitState, StateError> {
        Ok(DebugExitState {})
    }

    fn restore(&mut self, _: &DebugExitState) -> Result<(), StateError> {
        Ok(())
    }
}
