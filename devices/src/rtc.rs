//! The CMOS clock, an MC146818 with 128 bytes of battery-backed memory (ports 0x70 and 0x71).
//!
//! It keeps no time of its own: it shows the host's wall clock plus the offset by which the guest has set it, so the
//! time is right after a pause, a restore or a move without anyone correcting it. It raises no interrupts: alarm and
//! periodic rate are remembered, not acted on. Neighbour: [`calendar`], dates and their register format.

mod calendar;
#[cfg(test)]
mod calendar_test;
#[cfg(test)]
mod rtc_test;

use std::time::{Duration, SystemTime};

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use self::calendar::{DATE_REGISTERS, Date, HOURS_24};
use crate::{BytePorts, Lifecycle};

/// First port; the device takes [`RTC_PORT_COUNT`] from here.
pub const RTC_BASE: u16 = 0x70;
/// Number of ports: index and data.
pub const RTC_PORT_COUNT: u16 = 2;
/// Index of the century, for the FADT's `CENTURY` field.
pub const RTC_CENTURY_INDEX: u8 = 0x32;

/// Bytes behind the index port.
const CMOS_BYTES: usize = 128;
const INDEX_MASK: u8 = 0x7f;
/// Indices of the registers of a date, in the order of [`Date::encode`].
const DATE_INDICES: [u8; DATE_REGISTERS] = [0, 2, 4, 6, 7, 8, 9, RTC_CENTURY_INDEX];
const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
const REGISTER_C: u8 = 0x0c;
const REGISTER_D: u8 = 0x0d;

/// Register A: an update is in progress, so the date must not be read.
const UPDATE_IN_PROGRESS: u8 = 0x80;
/// Register A: the divider that lets the clock run.
const DIVIDER_MASK: u8 = 0x70;
const DIVIDER_RUNNING: u8 = 0x20;
/// Register A after power-on: running, periodic rate 1024 Hz.
const REGISTER_A_DEFAULT: u8 = DIVIDER_RUNNING | 6;
/// Register B: the guest is setting the date, updates are halted.
const SET: u8 = 0x80;
/// Registers B and C: the update-ended interrupt's enable and its flag.
const UPDATE_ENDED: u8 = 0x10;
/// Register C: an enabled flag is set.
const INTERRUPT: u8 = 0x80;
/// Register D: battery and memory are good.
const VALID: u8 = 0x80;
/// The chip announces an update 244 µs ahead.
const UPDATE_AHEAD: Duration = Duration::from_micros(244);
/// No guest sets its clock further off than the registers can say.
const MAX_OFFSET_S: i64 = 10_000 * 366 * 86_400;

/// Where the device takes the time from: [`SystemTime::now`] everywhere but in tests.
pub type WallClock = Box<dyn Fn() -> SystemTime + Send>;

/// The CMOS clock.
pub struct Rtc {
    instance: String,
    clock: WallClock,
    state: RtcState,
}

/// Saved state, version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RtcState {
    /// Index last written to port 0x70.
    pub index: u8,
    /// Register A without the update bit.
    pub register_a: u8,
    /// Register B.
    pub register_b: u8,
    /// Guest's time minus the host's wall clock, in seconds.
    pub offset_s: i64,
    /// The guest's second at the last read of register C: the update-ended flag is set when a new one has begun.
    pub seen_second: i64,
    /// While the guest sets the date: its eight registers as written.
    pub held: Option<[u8; DATE_REGISTERS]>,
    /// The 128 bytes; those of the registers above are not used.
    pub cmos: Vec<u8>,
}

impl Schema for RtcState {
    const KIND: &'static str = "rtc";
    const VERSION: u16 = 1;
}

impl Rtc {
    /// A clock that shows what `clock` says, in UTC.
    #[must_use]
    pub fn new(instance: &str, clock: WallClock) -> Self {
        let state = RtcState {
            index: 0,
            register_a: REGISTER_A_DEFAULT,
            register_b: HOURS_24,
            offset_s: 0,
            seen_second: 0,
            held: None,
            cmos: vec![0; CMOS_BYTES],
        };
        Self { instance: instance.into(), clock, state }
    }

    /// A clock on the host's own.
    #[must_use]
    pub fn of_host(instance: &str) -> Self {
        Self::new(instance, Box::new(SystemTime::now))
    }

    /// The host's wall clock since 1970; a host set to before that shows 1970.
    fn host_now(&self) -> Duration {
        (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// The guest's time in seconds since 1970.
    fn now_s(&self) -> i64 {
        // A wall clock fits i64 for the next 292 billion years; the offset is bounded.
        self.host_now().as_secs() as i64 + self.state.offset_s
    }

    /// The registers of the date as they read now.
    fn date_registers(&self) -> [u8; DATE_REGISTERS] {
        self.state.held.unwrap_or_else(|| Date::at(self.now_s()).encode(self.state.register_b))
    }

    fn register_a(&self) -> u8 {
        let running = self.state.held.is_none() && self.state.register_a & DIVIDER_MASK == DIVIDER_RUNNING;
        let to_update = Duration::from_secs(1) - Duration::from_nanos(self.host_now().subsec_nanos().into());
        let busy = running && to_update <= UPDATE_AHEAD;
        self.state.register_a | if busy { UPDATE_IN_PROGRESS } else { 0 }
    }

    /// Reading register C clears it: here, by remembering the second that was seen.
    fn take_register_c(&mut self) -> u8 {
        let now = self.now_s();
        let flags = if self.state.held.is_none() && now != self.state.seen_second { UPDATE_ENDED } else { 0 };
        self.state.seen_second = now;
        flags | if flags & self.state.register_b != 0 { INTERRUPT } else { 0 }
    }

    fn set_register_b(&mut self, value: u8) {
        let old = self.state.register_b;
        if value & SET != 0 {
            self.state.held = Some(self.date_registers());
        } else if let Some(held) = self.state.held.take() {
            // The mode at the time of writing counts: a driver leaves it alone while it sets the date.
            self.set_date(&held, old);
        }
        self.state.register_b = value;
    }

    /// Moves the offset so that the clock shows `registers` now; a date that does not exist changes nothing.
    fn set_date(&mut self, registers: &[u8; DATE_REGISTERS], mode: u8) {
        if let Some(date) = Date::decode(registers, mode) {
            self.state.offset_s = date.seconds() - self.host_now().as_secs() as i64;
        }
    }

    fn write_date_register(&mut self, position: usize, value: u8) {
        let mut registers = self.date_registers();
        registers[position] = value;
        match &mut self.state.held {
            Some(held) => *held = registers,
            None => self.set_date(&registers, self.state.register_b),
        }
    }

    fn read_register(&mut self) -> u8 {
        let index = self.state.index;
        match index {
            REGISTER_A => self.register_a(),
            REGISTER_B => self.state.register_b,
            REGISTER_C => self.take_register_c(),
            REGISTER_D => VALID,
            _ => match DATE_INDICES.iter().position(|date| *date == index) {
                Some(position) => self.date_registers()[position],
                None => self.state.cmos[usize::from(index)],
            },
        }
    }

    fn write_register(&mut self, value: u8) {
        let index = self.state.index;
        match index {
            REGISTER_A => self.state.register_a = value & !UPDATE_IN_PROGRESS,
            REGISTER_B => self.set_register_b(value),
            REGISTER_C | REGISTER_D => {}
            _ => match DATE_INDICES.iter().position(|date| *date == index) {
                Some(position) => self.write_date_register(position, value),
                None => self.state.cmos[usize::from(index)] = value,
            },
        }
    }
}

impl BytePorts for Rtc {
    fn read_byte(&mut self, offset: u16) -> u8 {
        match offset {
            1 => self.read_register(),
            _ => 0xff,
        }
    }

    fn write_byte(&mut self, offset: u16, value: u8) {
        match offset {
            // The top bit masks NMIs, of which there are none.
            0 => self.state.index = value & INDEX_MASK,
            1 => self.write_register(value),
            _ => {}
        }
    }
}

impl Lifecycle for Rtc {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {}

    fn resume(&mut self) {}
}

impl Save for Rtc {
    type State = RtcState;

    fn save(&self) -> Result<RtcState, StateError> {
        Ok(self.state.clone())
    }

    fn restore(&mut self, state: &RtcState) -> Result<(), StateError> {
        let wrong = if state.cmos.len() != CMOS_BYTES {
            format!("it has {} bytes of memory instead of {CMOS_BYTES}", state.cmos.len())
        } else if state.index & !INDEX_MASK != 0 {
            format!("index {:#x} is beyond its memory", state.index)
        } else if state.register_a & UPDATE_IN_PROGRESS != 0 {
            "register A holds the update bit, which is never saved".into()
        } else if state.held.is_some() != (state.register_b & SET != 0) {
            "register B and the held date do not agree on whether the date is being set".into()
        } else if !(-MAX_OFFSET_S..=MAX_OFFSET_S).contains(&state.offset_s) {
            format!("its offset of {} s is more than the calendar holds", state.offset_s)
        } else {
            self.state = state.clone();
            return Ok(());
        };
        Err(StateError::Invalid { instance: self.instance.clone(), reason: wrong })
    }
}
