//! The console device (virtio 1.2 §5.3): a console, and ports with names for whatever host and guest agree on.
//!
//! Port 0 has the first two queues, the messages about ports the next two, and every other port two more. Back ends are
//! those of the serial port. Neighbours: [`port`] is one port, [`control`] the messages, [`config`] the options.

mod config;
#[cfg(test)]
mod config_test;
#[cfg(test)]
mod console_test;
mod control;
mod port;
mod state;

use std::{io, os::fd::AsRawFd};

use virtio_queue::{Queue, QueueT, desc::split::Descriptor};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::{
    epoll::EventSet,
    eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd},
};

pub use self::{
    config::{PortConfig, PortMode},
    state::{ConsoleState, PortState},
};
use self::{
    control::{MESSAGE_BYTES, Owed, Said},
    port::{Port, Sent},
};
use super::{
    ServeError, Served, Source, VirtioDevice, chain,
    queue::{Offered, Taken, next_room, serve_each},
    used::{publish, wants_interrupt},
};
use crate::{
    GuestMemory, Stop, StopLine,
    options::OptionError,
    serial::{Output, SerialError},
};

/// Device type of a console.
const DEVICE_TYPE: u32 = 3;
/// There are ports beside the first, and messages about them.
const F_MULTIPORT: u64 = 1 << 1;
/// Most ports.
const MOST_PORTS: usize = 8;
/// Queues of messages about ports.
const CONTROL_RECEIVE: usize = 2;
const CONTROL_TRANSMIT: usize = 3;
/// Most bytes that are read or written at a time.
const PIECE_BYTES: usize = 4 << 10;
/// Most bytes of one chain of the driver; Linux has 32 KiB.
const CHAIN_BYTES: usize = 1 << 20;
/// Where the configuration space says how many ports there are.
const PORTS_OFFSET: usize = 4;
const CONFIG_BYTES: usize = 12;

/// Why there is no console device.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// A value that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A back end that cannot be had.
    #[error(transparent)]
    Backend(#[from] SerialError),
    /// The host is short of something.
    #[error("the host cannot make a console device: {0}")]
    Host(#[from] io::Error),
}

/// What a queue is for.
#[derive(Clone, Copy)]
enum Use {
    /// To the guest, of port.
    Receive(usize),
    /// From the guest, of port.
    Transmit(usize),
    ControlReceive,
    ControlTransmit,
}

impl Use {
    fn of(queue: usize) -> Self {
        match queue {
            CONTROL_RECEIVE => Self::ControlReceive,
            CONTROL_TRANSMIT => Self::ControlTransmit,
            0 | 1 => Self::port(queue, 0),
            _ => Self::port(queue, queue / 2 - 1),
        }
    }

    fn port(queue: usize, port: usize) -> Self {
        if queue.is_multiple_of(2) { Self::Receive(port) } else { Self::Transmit(port) }
    }
}

/// The queue to the guest of a port; that from it follows.
fn receive_queue(port: usize) -> usize {
    if port == 0 { 0 } else { 2 * port + 2 }
}

/// A console device.
pub struct Console {
    ports: Vec<Port>,
    queue_sizes: Vec<u16>,
    /// Wakes each queue for what another has found to do.
    wakes: Vec<EventFd>,
    stop: StopLine,
}

impl Console {
    /// A device with these ports; the quit keys on a terminal ask on `stop`.
    ///
    /// # Errors
    /// [`ConsoleError`]: which port cannot be and why.
    pub fn new(ports: &[&PortConfig], stop: StopLine) -> Result<Self, ConsoleError> {
        if ports.len() > MOST_PORTS {
            let count = ports.len();
            return Err(OptionError::new(format!(
                "{count} console ports are too many; the most is {MOST_PORTS}"
            ))
            .into());
        }
        for (number, port) in ports.iter().enumerate() {
            if ports[..number].iter().any(|earlier| earlier.name == port.name) {
                return Err(OptionError::new(match &port.name {
                    Some(name) => format!("two console ports are called '{name}'; give each its own name"),
                    None => "two console ports have no name; give all but one a name".into(),
                })
                .into());
            }
        }
        let queue_sizes = PortConfig::queue_sizes(ports.len());
        let ports = ports.iter().map(|config| Port::new(config)).collect::<Result<Vec<_>, _>>()?;
        let wake = |_: &u16| EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC);
        let wakes = queue_sizes.iter().map(wake).collect::<io::Result<_>>()?;
        Ok(Self { ports, queue_sizes, wakes, stop })
    }

    /// The ways to consoles, to flush them before the process ends.
    pub fn outputs(&self) -> Vec<Output> {
        self.ports.iter().filter_map(Port::output).cloned().collect()
    }

    /// Has the event loop come to a queue.
    fn wake(&self, queue: usize) {
        // The counter is far from full: it is an edge that counts.
        let _ = self.wakes[queue].write(1);
    }

    fn next_message(&self) -> Option<(usize, Owed, Vec<u8>)> {
        (0..).zip(&self.ports).find_map(|(number, port)| {
            let (owed, message) = port.next_message(number)?;
            Some((number as usize, owed, message))
        })
    }

    /// What comes from the host's end of a port.
    fn receive(
        &mut self,
        number: usize,
        queue: &mut Queue,
        memory: &GuestMemory,
    ) -> Result<Served, ServeError> {
        let since = queue.next_used();
        // Room is of no interest until something wants it.
        queue.disable_notification(memory)?;
        let mut left = queue.size();
        let more = loop {
            let port = &mut self.ports[number];
            let events = port.look()?;
            if left == 0 || events.is_empty() {
                break !events.is_empty();
            }
            left -= 1;
            if events.contains(EventSet::OUT) {
                port.may_send();
                self.wake(receive_queue(number) + 1);
                continue;
            }
            if port.let_in() {
                continue;
            }
            if !port.takes_input() {
                if !events.intersects(EventSet::HANG_UP | EventSet::ERROR) {
                    break false;
                }
                // Nobody is there, and nobody reads what was said.
                port.hang_up();
                self.wake(receive_queue(number) + 1);
                continue;
            }
            let start = queue.next_avail();
            let Some(Offered { head, buffers }) = next_room(queue, memory)? else { break false };
            let received = port.read(chain::bytes_in(&buffers).min(PIECE_BYTES));
            if received.quit {
                self.stop.ask(Stop::Quit);
            }
            if received.ended {
                self.wake(receive_queue(number) + 1);
            }
            if received.bytes.is_empty() {
                queue.set_next_avail(start);
            } else {
                chain::scatter(&received.bytes, &buffers, memory)?;
                // At most PIECE_BYTES.
                publish(queue, memory, &[(head, received.bytes.len() as u32)])?;
            }
        };
        self.wake_for_messages();
        Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, more })
    }

    fn wake_for_messages(&self) {
        if self.next_message().is_some() {
            self.wake(CONTROL_RECEIVE);
        }
    }

    /// What the guest sends by a port.
    fn transmit(
        &mut self,
        number: usize,
        queue: &mut Queue,
        memory: &GuestMemory,
    ) -> Result<Served, ServeError> {
        let served = serve_each(queue, memory, queue.next_used(), |Offered { buffers, .. }| {
            // The port comes back to what it does not take.
            Ok(if self.send(number, buffers, memory)? { Taken::Done(0) } else { Taken::Later })
        });
        self.wake_for_messages();
        served
    }

    /// Sends what is in the buffers by a port, from where it stopped; whether that was all.
    fn send(
        &mut self,
        number: usize,
        buffers: &[Descriptor],
        memory: &GuestMemory,
    ) -> Result<bool, ServeError> {
        if buffers.iter().any(Descriptor::is_write_only) {
            return Err(ServeError::Chain("has a buffer to write in a queue for output"));
        }
        if chain::bytes_in(buffers) > CHAIN_BYTES {
            return Err(ServeError::Chain("has more than 1 MiB of output"));
        }
        let port = &mut self.ports[number];
        let mut skip = std::mem::take(&mut port.done);
        let (mut done, mut piece) = (skip, [0; PIECE_BYTES]);
        for buffer in buffers {
            let len = buffer.len() as usize;
            let mut at = skip.min(len);
            skip -= at;
            while at < len {
                let piece = &mut piece[..(len - at).min(PIECE_BYTES)];
                // Within the buffer, which was checked to lie within memory.
                let address = GuestAddress(buffer.addr().0 + at as u64);
                memory.read_slice(piece, address).map_err(virtio_queue::Error::GuestMemory)?;
                if let Sent::Part(bytes) = port.send(piece) {
                    port.done = done + bytes;
                    return Ok(false);
                }
                (at, done) = (at + piece.len(), done + piece.len());
            }
        }
        Ok(true)
    }

    /// Messages to the driver.
    fn tell(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let since = queue.next_used();
        queue.disable_notification(memory)?;
        while let Some((number, owed, message)) = self.next_message() {
            let Some(Offered { head, buffers }) = next_room(queue, memory)? else { break };
            if chain::bytes_in(&buffers) < message.len() {
                return Err(ServeError::Chain("has no room for a message about a port"));
            }
            chain::scatter(&message, &buffers, memory)?;
            // A name has at most 64 bytes.
            publish(queue, memory, &[(head, message.len() as u32)])?;
            self.ports[number].told(owed);
        }
        Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, more: false })
    }

    /// Messages of the driver.
    fn listen(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let served = serve_each(queue, memory, queue.next_used(), |Offered { buffers, .. }| {
            // Linux has each in a buffer of its own.
            let first = buffers.first().filter(|buffer| !buffer.is_write_only());
            let first = first.filter(|buffer| buffer.len() as usize >= MESSAGE_BYTES);
            let first = first.ok_or(ServeError::Chain("is too short for a message about a port"))?;
            let bytes = memory.read_obj(first.addr()).map_err(virtio_queue::Error::GuestMemory)?;
            self.hear(&control::read(&bytes));
            Ok(Taken::Done(0))
        });
        self.wake_for_messages();
        served
    }

    fn hear(&mut self, said: &Said) {
        match *said {
            Said::DeviceReady(true) => self.ports.iter_mut().for_each(Port::device_ready),
            Said::PortReady(number, true) => {
                if let Some(port) = self.ports.get_mut(number as usize) {
                    port.port_ready();
                }
            }
            Said::Open(number, is_open) => {
                if let Some(port) = self.ports.get_mut(number as usize) {
                    port.guest_open = is_open;
                    self.wake(receive_queue(number as usize));
                }
            }
            Said::DeviceReady(false) | Said::PortReady(_, false) | Said::Unknown => {}
        }
    }
}

impl VirtioDevice for Console {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        F_MULTIPORT
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn sources(&self) -> Vec<Source> {
        let ports = (0..).zip(&self.ports);
        let ports = ports.map(|(number, port)| Source::to_read(port.fd(), receive_queue(number)));
        let wakes = (0..).zip(&self.wakes).map(|(queue, wake)| Source::to_read(wake.as_raw_fd(), queue));
        ports.chain(wakes).collect()
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut space = [0; CONFIG_BYTES];
        // At most MOST_PORTS.
        space[PORTS_OFFSET..PORTS_OFFSET + 4].copy_from_slice(&(self.ports.len() as u32).to_le_bytes());
        let there = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or(&[]);
        let bytes = there.iter().chain(std::iter::repeat(&0));
        data.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    fn write_config(&mut self, _: u64, _: &[u8]) {}

    fn config_generation(&self) -> u32 {
        0
    }

    /// A driver that knows no ports uses the first, and does not say so.
    fn activate(&mut self, features: u64) {
        if let Some(port) = self.ports.first_mut().filter(|_| features & F_MULTIPORT == 0) {
            port.guest_open = true;
        }
    }

    fn reset(&mut self) {
        self.ports.iter_mut().for_each(Port::reset);
    }

    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        match Use::of(index) {
            Use::Receive(port) => self.receive(port, queue, memory),
            Use::Transmit(port) => self.transmit(port, queue, memory),
            Use::ControlReceive => self.tell(queue, memory),
            Use::ControlTransmit => self.listen(queue, memory),
        }
    }

    /// Nothing is in flight outside of `serve` but a console's output, which has left the guest.
    fn pause(&mut self) {}

    fn resume(&mut self) {
        self.ports.iter_mut().for_each(Port::moved);
    }

    /// The guest runs elsewhere: clients see the end.
    fn release(&mut self) {
        self.ports.iter_mut().filter(|port| port.has_client()).for_each(Port::hang_up);
    }
}
