//! The port by which a guest says that it panicked (QEMU's pvpanic, `docs/specs/pvpanic`; ACPI `QEMU0001`).
//!
//! Reading gives the events that can be told, writing tells some. The guest goes on: it may write a dump, print, or restart
//! itself; what it told is kept, moves with it, and decides how its end is seen ([`StopLine::report_panic`]).

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use crate::{BytePorts, Lifecycle, StopLine};

/// The port; the device takes [`PVPANIC_PORT_COUNT`] from here.
pub const PVPANIC_PORT: u16 = 0x505;
/// Number of ports.
pub const PVPANIC_PORT_COUNT: u16 = 1;

/// Event: the guest panicked, and nothing of it handles that.
const PANICKED: u8 = 1;
/// Event: the guest panicked, and a kernel of its own writes a dump.
const CRASH_LOADED: u8 = 2;
const EVENTS: u8 = PANICKED | CRASH_LOADED;

/// What a guest has told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestPanic {
    /// It panicked.
    Panicked,
    /// It panicked, and its crash kernel has taken over.
    CrashLoaded,
}

/// The port.
pub struct Pvpanic {
    instance: String,
    stop: StopLine,
    events: u8,
}

/// Saved state, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct PvpanicState {
    /// Events that the guest has told.
    pub events: u8,
}

impl Schema for PvpanicState {
    const KIND: &'static str = "pvpanic";
    const VERSION: u16 = 1;
}

impl Pvpanic {
    /// A port of a guest that has told nothing; what it tells is reported on `stop`.
    #[must_use]
    pub fn new(instance: &str, stop: StopLine) -> Self {
        Self { instance: instance.into(), stop, events: 0 }
    }

    /// What the guest has told, if anything.
    #[must_use]
    pub fn told(&self) -> Option<GuestPanic> {
        match self.events {
            0 => None,
            events if events & PANICKED != 0 => Some(GuestPanic::Panicked),
            _ => Some(GuestPanic::CrashLoaded),
        }
    }

    fn report(&self) {
        if self.events & PANICKED != 0 {
            self.stop.report_panic();
        }
    }
}

impl BytePorts for Pvpanic {
    fn read_byte(&mut self, offset: u16) -> u8 {
        if offset == 0 { EVENTS } else { 0xff }
    }

    fn write_byte(&mut self, offset: u16, value: u8) {
        let new = value & EVENTS & !self.events;
        if offset != 0 || new == 0 {
            return;
        }
        self.events |= new;
        self.report();
        // Each event once: a guest shall not fill the log.
        if new & PANICKED != 0 {
            tracing::warn!("{}: the guest panicked", self.instance);
        }
        if new & CRASH_LOADED != 0 {
            tracing::warn!("{}: the guest panicked, and its crash kernel takes over", self.instance);
        }
    }
}

impl Lifecycle for Pvpanic {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {}

    fn resume(&mut self) {}
}

impl Save for Pvpanic {
    type State = PvpanicState;

    fn save(&self) -> Result<PvpanicState, StateError> {
        Ok(PvpanicState { events: self.events })
    }

    fn restore(&mut self, state: &PvpanicState) -> Result<(), StateError> {
        if state.events & !EVENTS != 0 {
            let reason = format!("its events {:#x} hold one that this build does not have", state.events);
            return Err(StateError::Invalid { instance: self.instance.clone(), reason });
        }
        self.events = state.events;
        self.report();
        Ok(())
    }
}
