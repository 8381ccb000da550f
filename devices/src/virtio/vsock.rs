//! The socket device (virtio 1.2 §5.10): streams between guest and host, without a network.
//!
//! On the host's side every stream is a Unix socket, as Firecracker and Cloud Hypervisor have it. A client of the host
//! connects to the device's socket, writes `CONNECT <port>`, and is told `OK <port>` when the guest has accepted; a guest
//! that connects to port N of the host is connected to the socket at the same path with `_N` behind it.
//!
//! Streams end when the guest moves, for their other ends stay behind: clients see the end of theirs, and the guest's
//! driver is told by an event, upon which it resets its own. What listens goes on to listen. Neighbours: [`streams`] has
//! the sockets, [`connection`] is one stream, [`packet`] the wire, [`config`] the options.

mod config;
#[cfg(test)]
mod config_test;
mod connection;
mod greeting;
#[cfg(test)]
mod move_test;
mod packet;
#[cfg(test)]
mod room_test;
mod state;
mod streams;
#[cfg(test)]
mod streams_test;
mod sys;
#[cfg(test)]
mod test_guest;
#[cfg(test)]
mod vsock_test;

use std::{io, os::fd::AsRawFd};

use virtio_queue::{Queue, QueueT, desc::split::Descriptor};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

#[cfg(test)]
pub(crate) use self::test_guest::vsock_alone;
pub use self::{config::VsockConfig, state::VsockState};
use self::{packet::*, streams::Streams};
use super::{
    ServeError, Served, Source, VirtioDevice, chain,
    queue::{Offered, Taken, next_room, serve_each},
    used::{publish, wants_interrupt},
};
use crate::{GuestMemory, options::OptionError, unix_listener};

/// Device type of a socket device.
const DEVICE_TYPE: u32 = 19;
/// Streams are what it has.
const F_STREAM: u64 = 1;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const EVENT: usize = 2;
/// The event: all streams are gone, and the guest may have another address (§5.10.6.7).
const TRANSPORT_RESET: [u8; 4] = [0; 4];

/// Why there is no vsock device.
#[derive(Debug, thiserror::Error)]
pub enum VsockError {
    /// A value that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The socket cannot be listened at.
    #[error("vsock socket {path} {why}", path = .path.display())]
    Socket {
        /// The path.
        path: std::path::PathBuf,
        /// Why.
        why: unix_listener::ListenError,
    },
    /// The host is short of something.
    #[error("the host cannot make a vsock device: {0}")]
    Host(#[from] io::Error),
}

/// A socket device.
pub struct Vsock {
    cid: u32,
    streams: Streams,
    /// The driver shall be told that all streams are gone.
    reset_due: bool,
    /// Nothing is taken from the guest until it has taken what it is owed.
    stalled: bool,
    /// Wakes either direction for what the other has found to do.
    wake_receive: EventFd,
    wake_transmit: EventFd,
    /// A packet on its way.
    packet: Box<[u8]>,
}

impl Vsock {
    /// The device that `config` asks for, which listens at its socket.
    ///
    /// # Errors
    /// [`VsockError`].
    pub fn new(config: &VsockConfig) -> Result<Self, VsockError> {
        config.check()?;
        let path = config.socket.clone();
        let listener = unix_listener::listen(&path);
        let listener = listener.map_err(|why| VsockError::Socket { path: path.clone(), why })?;
        let wake = || EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC);
        Ok(Self {
            cid: config.cid,
            streams: Streams::new(config.cid.into(), listener, path)?,
            reset_due: false,
            stalled: false,
            wake_receive: wake()?,
            wake_transmit: wake()?,
            packet: vec![0; HEADER_BYTES + DATA_BYTES].into_boxed_slice(),
        })
    }

    /// Packets to the driver, in buffers that it has left.
    fn receive(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let more_outside = self.streams.look()?;
        let since = queue.next_used();
        // Room is of no interest until a packet wants it.
        queue.disable_notification(memory)?;
        let mut left = queue.size();
        let more = loop {
            if !self.streams.has_packets() {
                break more_outside;
            }
            if left == 0 {
                break true;
            }
            left -= 1;
            let start = queue.next_avail();
            let Some(Offered { head, buffers }) = next_room(queue, memory)? else { break more_outside };
            let room = room(&buffers)?;
            let (header, data) = self.packet.split_at_mut(HEADER_BYTES);
            let most = data.len().min(room - HEADER_BYTES);
            match self.streams.next_packet(&mut data[..most]) {
                None => queue.set_next_avail(start),
                Some(packet) => {
                    header.copy_from_slice(&packet.bytes());
                    let len = HEADER_BYTES + packet.len as usize;
                    chain::scatter(&self.packet[..len], &buffers, memory)?;
                    // At most HEADER_BYTES and DATA_BYTES.
                    publish(queue, memory, &[(head, len as u32)])?;
                }
            }
        };
        if self.stalled && !self.streams.is_full() {
            self.stalled = false;
            wake(&self.wake_transmit);
        }
        Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, more })
    }

    /// Packets of the driver.
    fn transmit(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        self.stalled = false;
        let served = serve_each(queue, memory, queue.next_used(), |Offered { buffers, .. }| {
            if self.streams.is_full() {
                // Until the driver has made room: we come back by ourselves.
                self.stalled = true;
                return Ok(Taken::Later);
            }
            let header = gather(&mut self.packet, buffers, memory)?;
            let data = &self.packet[HEADER_BYTES..HEADER_BYTES + header.len as usize];
            self.streams.take(&header, data);
            Ok(Taken::Done(0))
        });
        if self.streams.has_work() {
            wake(&self.wake_receive);
        }
        served
    }

    /// The event that is due, in a buffer that the driver has left.
    fn tell_reset(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let since = queue.next_used();
        while self.reset_due {
            let Some(Offered { head, buffers }) = next_room(queue, memory)? else { break };
            if chain::bytes_in(&buffers) < TRANSPORT_RESET.len() {
                return Err(ServeError::Chain("has no room for an event"));
            }
            chain::scatter(&TRANSPORT_RESET, &buffers, memory)?;
            publish(queue, memory, &[(head, TRANSPORT_RESET.len() as u32)])?;
            self.reset_due = false;
        }
        Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, more: false })
    }
}

/// Has the event loop come to a direction.
fn wake(event: &EventFd) {
    // The counter is far from full: it is an edge that counts.
    let _ = event.write(1);
}

/// Bytes of the buffers for a packet to the driver: more than a header.
fn room(buffers: &[Descriptor]) -> Result<usize, ServeError> {
    let bytes = chain::bytes_in(buffers);
    if bytes <= HEADER_BYTES {
        return Err(ServeError::Chain("has no room for a packet's header and data"));
    }
    Ok(bytes)
}

/// Reads a packet of the driver: its header, and behind it in `packet` its data.
fn gather(packet: &mut [u8], buffers: &[Descriptor], memory: &GuestMemory) -> Result<Header, ServeError> {
    if buffers.iter().any(Descriptor::is_write_only) {
        return Err(ServeError::Chain("has a buffer to write in a queue for packets to send"));
    }
    let mut filled = 0;
    for buffer in buffers {
        let part = (buffer.len() as usize).min(packet.len() - filled);
        let at: GuestAddress = buffer.addr();
        memory
            .read_slice(&mut packet[filled..filled + part], at)
            .map_err(virtio_queue::Error::GuestMemory)?;
        filled += part;
    }
    let header = packet.first_chunk().filter(|_| filled >= HEADER_BYTES);
    let header = header.ok_or(ServeError::Chain("is too short for a packet's header"))?;
    let header = Header::parse(header);
    if header.len as usize > filled - HEADER_BYTES {
        return Err(ServeError::Chain("has less data than its header says, or more than 64 KiB"));
    }
    Ok(header)
}

impl VirtioDevice for Vsock {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        F_STREAM
    }

    fn queue_sizes(&self) -> &[u16] {
        config::QUEUE_SIZES
    }

    fn sources(&self) -> Vec<Source> {
        vec![
            Source::to_read(self.streams.fd(), RECEIVE),
            Source::to_read(self.wake_receive.as_raw_fd(), RECEIVE),
            Source::to_read(self.wake_transmit.as_raw_fd(), TRANSMIT),
        ]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = u64::from(self.cid).to_le_bytes();
        let there = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or(&[]);
        let bytes = there.iter().chain(std::iter::repeat(&0));
        data.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    fn write_config(&mut self, _: u64, _: &[u8]) {}

    fn config_generation(&self) -> u32 {
        0
    }

    fn activate(&mut self, _: u64) {}

    fn reset(&mut self) {
        self.streams.end_all();
        (self.reset_due, self.stalled) = (false, false);
    }

    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        match index {
            RECEIVE => self.receive(queue, memory),
            TRANSMIT => self.transmit(queue, memory),
            EVENT => self.tell_reset(queue, memory),
            _ => Ok(Served::default()),
        }
    }

    /// Nothing is ever in flight outside of `serve`: what waits for the host waits here, and goes on if the guest does.
    fn pause(&mut self) {}

    fn resume(&mut self) {}

    /// The guest runs elsewhere: clients see the end of their streams. Should it come back after all, it is told.
    fn release(&mut self) {
        self.streams.end_all();
        self.reset_due = true;
    }
}
