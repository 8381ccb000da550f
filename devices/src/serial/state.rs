//! What is saved of a serial port: the registers and the bytes that the guest has not read.

use godwit_state::Schema;
use serde::{Deserialize, Serialize};
use vm_superio::serial::SerialState as Registers;

/// Line status: a byte can be read; the transmitter is empty; so is its shift register.
const DATA_READY: u8 = 1;
const TRANSMITTER_EMPTY: u8 = 1 << 5 | 1 << 6;
/// Interrupt identification: none pending; transmitter empty; data received.
const NONE_PENDING: u8 = 1;
const PENDING: u8 = 1 << 1 | 1 << 2;

/// Saved state, version 1: the registers under their 16550 names.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct SerialState {
    /// Divisor latch, low byte.
    pub baud_divisor_low: u8,
    /// Divisor latch, high byte.
    pub baud_divisor_high: u8,
    /// Interrupt enable.
    pub interrupt_enable: u8,
    /// Interrupt identification.
    pub interrupt_identification: u8,
    /// Line control.
    pub line_control: u8,
    /// Line status.
    pub line_status: u8,
    /// Modem control.
    pub modem_control: u8,
    /// Modem status.
    pub modem_status: u8,
    /// Scratch.
    pub scratch: u8,
    /// The receive FIFO, oldest byte first; at most 64.
    pub in_buffer: Vec<u8>,
}

impl Schema for SerialState {
    const KIND: &'static str = "serial16550";
    const VERSION: u16 = 1;
}

impl SerialState {
    /// The registers, if a 16550 can be in this state; else why not. A FIFO that is too long is left to the UART.
    pub(super) fn check(&self) -> Result<Registers, String> {
        let status = self.line_status;
        let ready = status & DATA_READY != 0;
        if status & !DATA_READY != TRANSMITTER_EMPTY || ready == self.in_buffer.is_empty() {
            let bytes = self.in_buffer.len();
            return Err(format!("line status {status:#x} does not go with {bytes} bytes in the FIFO"));
        }
        let pending = self.interrupt_identification;
        if pending != NONE_PENDING && (pending == 0 || pending & !PENDING != 0) {
            return Err(format!("interrupt identification {pending:#x} does not exist"));
        }
        Ok(Registers {
            baud_divisor_low: self.baud_divisor_low,
            baud_divisor_high: self.baud_divisor_high,
            interrupt_enable: self.interrupt_enable,
            interrupt_identification: self.interrupt_identification,
            line_control: self.line_control,
            line_status: self.line_status,
            modem_control: self.modem_control,
            modem_status: self.modem_status,
            scratch: self.scratch,
            in_buffer: self.in_buffer.clone(),
        })
    }
}

impl From<Registers> for SerialState {
    fn from(registers: Registers) -> Self {
        Self {
            baud_divisor_low: registers.baud_divisor_low,
            baud_divisor_high: registers.baud_divisor_high,
            interrupt_enable: registers.interrupt_enable,
            interrupt_identification: registers.interrupt_identification,
            line_control: registers.line_control,
            line_status: registers.line_status,
            modem_control: registers.modem_control,
            modem_status: registers.modem_status,
            scratch: registers.scratch,
            in_buffer: registers.in_buffer,
        }
    }
}
