//! The reset line of the i8042 keyboard controller (ports 0x60 and 0x64), and nothing else of it.
//!
//! There is no keyboard. The status port always says "output full, input empty": a driver that flushes the output
//! buffer before it probes (Linux does) finds it never empties and gives up within a millisecond instead of waiting
//! seconds for answers, and a driver that waits for room to write the reset command goes ahead at once.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use crate::{BytePorts, Lifecycle, Stop, StopLine};

/// First port; the device takes [`I8042_PORT_COUNT`] from here.
pub const I8042_BASE: u16 = 0x60;
/// Ports 0x60 (data) to 0x64 (status and command). Of those between, 0x61 is the speaker's gate, which an in-kernel
/// PIT can answer first; here nothing is there.
pub const I8042_PORT_COUNT: u16 = 5;

const DATA: u16 = 0;
const STATUS_COMMAND: u16 = 4;
const STATUS_OUTPUT_FULL: u8 = 1;
/// Pulse output line 0, which is wired to the CPU's reset.
const COMMAND_PULSE_RESET: u8 = 0xfe;

/// The keyboard controller's reset line.
pub struct I8042 {
    instance: String,
    stop: StopLine,
}

/// Saved state: the device has none.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct I8042State {}

impl Schema for I8042State {
    const KIND: &'static str = "i8042";
    const VERSION: u16 = 1;
}

impl I8042 {
    /// A controller that asks for [`Stop::Reset`] on `stop`.
    #[must_use]
    pub fn new(instance: &str, stop: StopLine) -> Self {
        Self { instance: instance.into(), stop }
    }
}

impl BytePorts for I8042 {
    fn read_byte(&mut self, offset: u16) -> u8 {
        match offset {
            STATUS_COMMAND => STATUS_OUTPUT_FULL,
            DATA => 0,
            _ => 0xff,
        }
    }

    fn write_byte(&mut self, offset: u16, value: u8) {
        if offset == STATUS_COMMAND && value == COMMAND_PULSE_RESET {
            self.stop.ask(Stop::Reset);
        }
    }
}

impl Lifecycle for I8042 {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {}

    fn resume(&mut self) {}
}

impl Save for I8042 {
    type State = I8042State;

    fn save(&self) -> Result<I8042State, StateError> {
        Ok(I8042State {})
    }

    fn restore(&mut self, _: &I8042State) -> Result<(), StateError> {
        Ok(())
    }
}
