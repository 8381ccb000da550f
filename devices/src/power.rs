//! Power-off, reset, power button and news of its generation for a guest with hardware-reduced ACPI (ACPI 6.5 §4.1, §4.8.3.7, §5.6.9).
//!
//! Hardware-reduced, because the alternative, the fixed hardware of the PM1 blocks, wants a level-triggered SCI and
//! an enable dance, for nothing that a guest of ours needs. The tables must say:
//!
//! - FADT: flag `HW_REDUCED_ACPI`; `SLEEP_CONTROL_REG` and `SLEEP_STATUS_REG` system I/O, 8 bits, byte access, at
//!   [`SLEEP_CONTROL_PORT`] and [`SLEEP_STATUS_PORT`]; flag `RESET_REG_SUP` with `RESET_REG` likewise at
//!   [`RESET_PORT`] and `RESET_VALUE` = [`RESET_VALUE`].
//! - DSDT: `\_S5 = Package { S5_SLP_TYP }`; a generic event device `ACPI0013` with
//!   `Interrupt(ResourceConsumer, Edge, ActiveHigh, Exclusive) { GED_GSI }` and an `_EVT` that reads one byte at
//!   [`GED_EVENT_PORT`] (`OperationRegion(…, SystemIO, GED_EVENT_PORT, 1)`; reading clears it) and, if
//!   [`GED_POWER_BUTTON`] is set in it, does `Notify(PWRB, 0x80)`; a power button device `PNP0C0C` named `PWRB`. Likewise
//!   [`GED_GENERATION`] and `Notify(VGEN, 0x80)`.
//! - Hardware-reduced Linux takes no legacy device for granted: serial (`PNP0501`, IRQ 4) and RTC (`PNP0B00`) must
//!   stand in the DSDT.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use crate::{BytePorts, Irq, Lifecycle, Stop, StopLine};

/// First port of the block; the device takes [`POWER_PORT_COUNT`] from here.
pub const POWER_BASE: u16 = 0x600;
/// Number of ports.
pub const POWER_PORT_COUNT: u16 = 4;
/// FADT `SLEEP_CONTROL_REG`.
pub const SLEEP_CONTROL_PORT: u16 = POWER_BASE;
/// FADT `SLEEP_STATUS_REG`.
pub const SLEEP_STATUS_PORT: u16 = POWER_BASE + 1;
/// FADT `RESET_REG`.
pub const RESET_PORT: u16 = POWER_BASE + 2;
/// FADT `RESET_VALUE`.
pub const RESET_VALUE: u8 = 1;
/// The byte that `_EVT` reads: pending events, cleared by the read.
pub const GED_EVENT_PORT: u16 = POWER_BASE + 3;
/// Bit of [`GED_EVENT_PORT`]: the power button was pressed.
pub const GED_POWER_BUTTON: u8 = 1;
/// Bit of [`GED_EVENT_PORT`]: the guest's generation has changed.
pub const GED_GENERATION: u8 = 2;
/// Interrupt of the generic event device: edge-triggered, active-high.
pub const GED_GSI: u32 = 9;
/// SLP_TYP of S5 (soft off), the first element of `\_S5`.
pub const S5_SLP_TYP: u8 = 5;

const SLEEP_CONTROL: u16 = SLEEP_CONTROL_PORT - POWER_BASE;
const SLEEP_STATUS: u16 = SLEEP_STATUS_PORT - POWER_BASE;
const RESET: u16 = RESET_PORT - POWER_BASE;
const GED_EVENT: u16 = GED_EVENT_PORT - POWER_BASE;
/// Sleep control register: SLP_TYPx in bits 2 to 4, SLP_EN is bit 5.
const SLP_TYP_SHIFT: u8 = 2;
const SLP_TYP_MASK: u8 = 0b111;
const SLP_EN: u8 = 1 << 5;

/// Sleep registers, reset register and the event register.
pub struct Power {
    instance: String,
    irq: Irq,
    stop: StopLine,
    events: u8,
}

/// Saved state, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerState {
    /// Events that the guest has not read yet.
    pub events: u8,
}

impl Schema for PowerState {
    const KIND: &'static str = "power";
    const VERSION: u16 = 1;
}

impl Power {
    /// A block whose button raises `irq` (to be routed to [`GED_GSI`]) and whose registers ask on `stop`.
    #[must_use]
    pub fn new(instance: &str, irq: Irq, stop: StopLine) -> Self {
        Self { instance: instance.into(), irq, stop, events: 0 }
    }

    /// Presses the power button. What the guest makes of it is its own business; Linux with an ACPI daemon powers
    /// off. Presses before the guest looked are one press.
    pub fn press_power_button(&mut self) {
        self.tell(GED_POWER_BUTTON);
    }

    /// Tells the guest that its [`Generation`](crate::Generation) has changed.
    pub fn tell_of_generation(&mut self) {
        self.tell(GED_GENERATION);
    }

    fn tell(&mut self, event: u8) {
        self.events |= event;
        self.irq.raise();
    }
}

impl BytePorts for Power {
    fn read_byte(&mut self, offset: u16) -> u8 {
        match offset {
            GED_EVENT => std::mem::take(&mut self.events),
            // The guest never wakes from a sleep here, so the wake bit of the status is never set.
            SLEEP_CONTROL | SLEEP_STATUS | RESET => 0,
            _ => 0xff,
        }
    }

    fn write_byte(&mut self, offset: u16, value: u8) {
        let sleep_type = (value >> SLP_TYP_SHIFT) & SLP_TYP_MASK;
        if offset == SLEEP_CONTROL && value & SLP_EN != 0 && sleep_type == S5_SLP_TYP {
            self.stop.ask(Stop::PowerOff);
        }
        if offset == RESET && value == RESET_VALUE {
            self.stop.ask(Stop::Reset);
        }
    }
}

impl Lifecycle for Power {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {}

    fn resume(&mut self) {
        if self.events != 0 {
            self.irq.raise();
        }
    }
}

impl Save for Power {
    type State = PowerState;

    fn save(&self) -> Result<PowerState, StateError> {
        Ok(PowerState { events: self.events })
    }

    fn restore(&mut self, state: &PowerState) -> Result<(), StateError> {
        if state.events & !(GED_POWER_BUTTON | GED_GENERATION) != 0 {
            let reason =
                format!("its pending events {:#x} hold one that this build does not have", state.events);
            return Err(StateError::Invalid { instance: self.instance.clone(), reason });
        }
        self.events = state.events;
        Ok(())
    }
}
