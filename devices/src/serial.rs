//! The serial port: a 16550A with interrupts, its console, and what keeps the two from stalling each other.
//!
//! The registers are `vm-superio`'s. Output goes through [`Output`], so a vCPU never waits for a console. Input is
//! read by the event loop, only while the guest's 64-byte FIFO has room and the device is not paused; at other times
//! the descriptor is not watched, so neither a full FIFO nor an ended input makes the loop spin. The console side is
//! not part of the saved state: the target has its own.

mod backend;
mod escape;
mod input;
mod output;
#[cfg(test)]
mod serial_test;
mod state;
mod sys;
#[cfg(test)]
mod sys_test;
mod waker;

use std::{io, sync::Arc, time::Duration};

use event_manager::{EventOps, Events, MutEventSubscriber};
use godwit_state::{Save, StateError};
use vm_superio::Serial as Uart;
use vmm_sys_util::epoll::EventSet;

pub(crate) use self::input::{Input, Received};
use self::waker::{Drained, Waker};
pub use self::{
    backend::{SerialBackend, SerialError, UnknownBackend},
    output::{BUFFER_BYTES, Output, Sink},
    state::SerialState,
    sys::{RawTerminal, restore_terminal},
};
use crate::{BytePorts, Irq, Lifecycle, Stop, StopLine};

/// First port of COM1; the device takes [`SERIAL_PORT_COUNT`] from its base.
pub const COM1_BASE: u16 = 0x3f8;
/// Interrupt of COM1: ISA IRQ 4, edge-triggered, active-high.
pub const COM1_GSI: u32 = 4;
/// Number of ports.
pub const SERIAL_PORT_COUNT: u16 = 8;

/// How long a port that goes away waits for its last output to be read.
pub(crate) const LAST_OUTPUT: Duration = Duration::from_secs(2);
/// Tag of the events that ask to look again whether input can be taken.
const WAKE: u32 = 0;
/// Tag of the events of the input's descriptor.
const INPUT: u32 = 1;
/// Offset of the modem control register, and its bit that ties the transmitter to the receiver.
const MODEM_CONTROL: u8 = 4;
const LOOPBACK: u8 = 1 << 4;
/// Interrupt identification register: nothing is pending.
const IIR_NONE: u8 = 1;

/// A 16550A serial port and its console.
pub struct Serial {
    instance: String,
    uart: Uart<Irq, Drained, Output>,
    irq: Irq,
    output: Output,
    input: Input,
    /// The input's descriptor is of a kind that is always ready and cannot be watched: a file, /dev/null.
    always_ready: bool,
    watching: bool,
    paused: bool,
    waker: Arc<Waker>,
    stop: StopLine,
}

impl Serial {
    /// A port that raises `irq`, with `backend` as its outside; the quit keys ask on `stop`.
    ///
    /// # Errors
    /// [`SerialError`], which names the file or socket.
    pub fn new(
        instance: &str,
        irq: Irq,
        backend: &SerialBackend,
        stop: StopLine,
    ) -> Result<Self, SerialError> {
        let (input, sink) = backend.open()?;
        Self::between(instance, irq, input, sink, stop).map_err(SerialError::Setup)
    }

    /// A port between an open input and an open output.
    fn between(
        instance: &str,
        irq: Irq,
        input: Input,
        sink: Option<Sink>,
        stop: StopLine,
    ) -> io::Result<Self> {
        let waker = Arc::new(Waker::new()?);
        let output = Output::start(sink)?;
        Ok(Self {
            instance: instance.into(),
            uart: Uart::with_events(irq.clone(), Drained(Arc::clone(&waker)), output.clone()),
            irq,
            output,
            input,
            always_ready: false,
            watching: false,
            paused: true,
            waker,
            stop,
        })
    }

    /// The way to the console: for lines of the VMM's own, and to flush it before the process ends.
    #[must_use]
    pub fn output(&self) -> Output {
        self.output.clone()
    }

    /// Whether input can be taken now; if not, the waker is armed for when the guest has made room.
    fn ready_for_input(&mut self) -> bool {
        if self.paused {
            return false;
        }
        let looped = self.uart.read(MODEM_CONTROL) & LOOPBACK != 0;
        let ready = self.uart.fifo_capacity() > 0 && !looped;
        self.waker.want(!ready);
        ready
    }

    /// Watches the input's descriptor exactly while input can be taken.
    fn update_watch(&mut self, ops: &mut EventOps) {
        let ready = self.ready_for_input();
        let Some(fd) = self.input.fd().filter(|_| !self.always_ready) else { return };
        if !ready {
            self.unwatch(ops);
        } else if !self.watching {
            match ops.add(Events::with_data_raw(fd, INPUT, EventSet::IN)) {
                Ok(()) => self.watching = true,
                Err(event_manager::Error::Epoll(error)) if error.errno() == libc::EPERM => {
                    self.always_ready = true;
                }
                Err(error) => {
                    tracing::warn!("{}: its input cannot be watched and is given up: {error}", self.instance);
                    self.input = Input::None;
                }
            }
        }
    }

    fn unwatch(&mut self, ops: &mut EventOps) {
        if let Some(fd) = self.input.fd().filter(|_| self.watching) {
            // Fails only if it is not watched, which is what was wanted.
            let _ = ops.remove(Events::with_data_raw(fd, INPUT, EventSet::IN));
            self.watching = false;
        }
    }

    /// Lets a client in, or moves what is there, at most what fits into the FIFO, from the input to the guest.
    fn take_input(&mut self, ops: &mut EventOps) {
        if self.input.awaits_client() {
            // What is watched changes from the listener to the client.
            self.unwatch(ops);
            if let Some(client) = self.input.accept() {
                self.output.connect(Some(Sink::Client(client)));
            }
            return;
        }
        let received = self.input.read(self.uart.fifo_capacity());
        // Cannot fail: no more than fits was read, and raising an interrupt does not fail.
        let _ = self.uart.enqueue_raw_bytes(&received.bytes);
        if received.quit {
            self.stop.ask(Stop::Quit);
        }
        if received.ended {
            self.unwatch(ops);
            self.input.hang_up();
            if self.input.awaits_client() {
                self.output.connect(None);
            }
        }
    }
}

impl MutEventSubscriber for Serial {
    fn init(&mut self, ops: &mut EventOps) {
        let wake = Events::with_data(self.waker.event(), WAKE, EventSet::IN);
        if let Err(error) = ops.add(wake) {
            tracing::warn!("{}: no input will reach the guest: {error}", self.instance);
        }
        self.update_watch(ops);
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        if events.data() == WAKE {
            // Only clears the counter; the reason to look is whatever is found below.
            let _ = self.waker.event().read();
        } else if self.ready_for_input() {
            self.take_input(ops);
        }
        self.update_watch(ops);
        // Ends when the FIFO is full or the file is.
        while self.always_ready && self.input.fd().is_some() && self.ready_for_input() {
            self.take_input(ops);
        }
    }
}

/// The register at `offset`; there is none beyond the range, where a wide access can end.
fn register(offset: u16) -> Option<u8> {
    u8::try_from(offset).ok().filter(|_| offset < SERIAL_PORT_COUNT)
}

impl BytePorts for Serial {
    fn read_byte(&mut self, offset: u16) -> u8 {
        match register(offset) {
            Some(register) => self.uart.read(register),
            None => 0xff,
        }
    }

    fn write_byte(&mut self, offset: u16, value: u8) {
        let Some(register) = register(offset) else { return };
        // Cannot fail: neither does the output nor an interrupt.
        let _ = self.uart.write(register, value);
        if register == MODEM_CONTROL {
            self.waker.wake_if_wanted();
        }
    }
}

impl Lifecycle for Serial {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {
        self.paused = true;
    }

    fn resume(&mut self) {
        self.paused = false;
        if self.uart.state().interrupt_identification & IIR_NONE == 0 {
            self.irq.raise();
        }
        self.waker.wake();
    }
}

impl Save for Serial {
    type State = SerialState;

    fn save(&self) -> Result<SerialState, StateError> {
        Ok(self.uart.state().into())
    }

    fn restore(&mut self, state: &SerialState) -> Result<(), StateError> {
        let invalid = |reason: String| StateError::Invalid { instance: self.instance.clone(), reason };
        let checked = state.check().map_err(invalid)?;
        let events = Drained(Arc::clone(&self.waker));
        self.uart =
            Uart::from_state(&checked, self.irq.clone(), events, self.output.clone()).map_err(|error| {
                StateError::Invalid { instance: self.instance.clone(), reason: error.to_string() }
            })?;
        Ok(())
    }
}

impl Drop for Serial {
    /// Gives the last output a moment to be read: a guest's last words are often the interesting ones.
    fn drop(&mut self) {
        self.output.close();
        self.output.flush(LAST_OUTPUT);
    }
}
