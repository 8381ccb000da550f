//! The console: the 16550 serial port at 0x3f8, polled, one line at a time.
//!
//! A port access costs an exit (60 µs where ring 0 is emulated), so the port is asked for room only once per 16
//! bytes, which is what its queue takes. Only the boot vCPU prints. Neighbours: `report` (the lines).

use core::fmt::{Arguments, Write};

use crate::clock::Watch;
use crate::sys::port;

const DATA: u16 = 0x3f8;
const QUEUE_CONTROL: u16 = 0x3fa;
const LINE_STATUS: u16 = 0x3fd;
const QUEUES_ON: u8 = 1;
const RECEIVED: u8 = 0x01;
const ROOM: u8 = 0x20;
const QUEUE_BYTES: usize = 16;
/// Looks at the port before it is taken for stuck and written to all the same.
const MOST_LOOKS: u32 = 100_000;
const LINE_BYTES: usize = 240;
const INPUT_BYTES: usize = 80;

/// The serial port.
pub struct Console {
    input: [u8; INPUT_BYTES],
    received: usize,
}

/// A line under construction; what does not fit is cut.
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let count = text.len().min(LINE_BYTES - 2 - self.length);
        self.bytes[self.length..self.length + count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

impl Console {
    /// Takes the port.
    pub fn new() -> Self {
        port::write(QUEUE_CONTROL, QUEUES_ON);
        Self { input: [0; INPUT_BYTES], received: 0 }
    }

    /// Prints `load: ` and the text as a line.
    pub fn line(&mut self, watch: &mut Watch, text: Arguments<'_>) {
        let mut line = Line { bytes: [0; LINE_BYTES], length: 0 };
        // Line takes everything, so formatting cannot fail.
        let _ = line.write_fmt(format_args!("load: {text}"));
        let end = line.length + 2;
        line.bytes[line.length..end].copy_from_slice(b"\r\n");
        for (index, &byte) in line.bytes[..end].iter().enumerate() {
            if index % QUEUE_BYTES == 0 {
                let _ = (0..MOST_LOOKS).find(|_| {
                    watch.look();
                    port::read(LINE_STATUS) & ROOM != 0
                });
            }
            port::write(DATA, byte);
            watch.look();
        }
    }

    /// Takes what was typed, up to one queue's worth, and echoes each finished line as `load: input …`.
    pub fn echo(&mut self, watch: &mut Watch) {
        for _ in 0..QUEUE_BYTES {
            watch.look();
            if port::read(LINE_STATUS) & RECEIVED == 0 {
                return;
            }
            match port::read(DATA) {
                b'\r' | b'\n' => {
                    let length = core::mem::take(&mut self.received);
                    let input = self.input;
                    if length > 0 {
                        self.line(watch, format_args!("input {}", input[..length].escape_ascii()));
                    }
                }
                byte if self.received < INPUT_BYTES => {
                    self.input[self.received] = byte;
                    self.received += 1;
                }
                _ => {}
            }
        }
    }
}
