//! The network card (virtio 1.2 §5.1) on a tap of the host.
//!
//! Checksums, segmentation and mergeable buffers pass through between guest and tap as they are. After a move the card
//! announces itself: the host sends a reverse ARP request in its name, and a guest that agreed to it is asked to send
//! what only it can. Neighbours: [`config`] has the options, [`receive`] and [`transmit`] move frames, [`control`]
//! reads the driver's commands, [`announce`] knows the rhythm, [`tap`] is the host's side.

mod announce;
mod config;
#[cfg(test)]
mod config_test;
mod control;
mod features;
mod mac;
#[cfg(test)]
mod net_test;
mod receive;
mod state;
mod sys;
mod tap;
#[cfg(test)]
mod tap_test;
mod transmit;

use std::os::fd::AsRawFd;

use virtio_queue::{Queue, QueueT};
use vm_memory::Bytes;

#[cfg(test)]
pub(crate) use self::net_test::{net_on_a_socket, net_with_a_wire};
use self::{announce::Announcer, features::*, receive::Receiver};
pub use self::{
    config::{NET_KEYS, NetConfig, NetError},
    mac::Mac,
    state::NetState,
    tap::{Tap, TapError},
};
use super::{ServeError, Served, Source, VirtioDevice, chain, queue::serve_each};
use crate::{GuestMemory, rate_limiter::RateLimiter};

/// Device type of a network card.
const DEVICE_TYPE: u32 = 1;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// Size of the control queue.
const CONTROL_SIZE: u16 = 64;

/// Bytes of the configuration space: address, status, number of queue pairs, MTU.
const CONFIG_BYTES: usize = 12;

/// A network card.
pub struct Net {
    tap: Tap,
    /// Its address as it was made, and as the driver has set it.
    permanent_mac: Mac,
    mac: Mac,
    mtu: u16,
    /// What is asked of a guest that comes here, as far as it was said.
    wanted: (Option<Mac>, Option<u16>),
    offered: u64,
    queue_sizes: [u16; 3],
    /// What the driver has accepted.
    accepted: u64,
    link_up: bool,
    /// The driver is asked to announce itself.
    announce: bool,
    generation: u32,
    receiver: Receiver,
    transmit_limit: Option<RateLimiter>,
    announcer: Announcer,
    /// It has moved, and has not announced that.
    moved: bool,
}

impl Net {
    /// The card that `config` asks for, its tap opened.
    ///
    /// # Errors
    /// [`NetError`]: which tap cannot be had and why, or what the host lacks.
    pub fn new(config: &NetConfig) -> Result<Self, NetError> {
        config.check()?;
        let tap = match (&config.tap, &config.fds) {
            (Some(name), None) => Tap::open(name, config.mtu)?,
            (None, Some(fds)) => Tap::given(fds[0])?,
            _ => return Err(NetError::Tap),
        };
        Self::on(tap, config)
    }

    /// The card that `config` asks for, on `tap`.
    fn on(tap: Tap, config: &NetConfig) -> Result<Self, NetError> {
        let mac = config.mac.map_or_else(Mac::random, Ok).map_err(NetError::Host)?;
        let limit = || config.rate_limiter_config.as_ref().map(RateLimiter::new).transpose();
        Ok(Self {
            tap,
            permanent_mac: mac,
            mac,
            mtu: config.mtu.unwrap_or(config::DEFAULT_MTU),
            wanted: (config.mac, config.mtu),
            offered: config.features(),
            queue_sizes: [config.queue_size, config.queue_size, CONTROL_SIZE],
            accepted: 0,
            link_up: true,
            announce: false,
            generation: 0,
            receiver: Receiver::new(limit().map_err(NetError::Host)?),
            transmit_limit: limit().map_err(NetError::Host)?,
            announcer: Announcer::new().map_err(NetError::Host)?,
            moved: false,
        })
    }

    fn config_space(&self) -> [u8; CONFIG_BYTES] {
        let mut space = [0; CONFIG_BYTES];
        space[..6].copy_from_slice(&self.mac.0);
        let announce = if self.announce { STATUS_ANNOUNCE } else { 0 };
        let link = if self.link_up { STATUS_LINK_UP } else { 0 };
        space[6..8].copy_from_slice(&(link | announce).to_le_bytes());
        // One pair of queues.
        space[8..10].copy_from_slice(&1_u16.to_le_bytes());
        space[10..].copy_from_slice(&self.mtu.to_le_bytes());
        space
    }

    /// Announces where the card is now, if that is due.
    fn announce_if_due(&mut self) {
        if !self.announcer.take() {
            return;
        }
        if let Err(error) = self.tap.write_own(&announce::rarp(self.mac)) {
            tracing::debug!("tap '{}' does not take an announcement: {error}", self.tap.name());
        }
        if self.accepted & F_GUEST_ANNOUNCE != 0 {
            self.announce = true;
            self.generation = self.generation.wrapping_add(1);
        }
    }

    fn receive(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let mergeable = self.accepted & F_MRG_RXBUF != 0;
        if !self.link_up {
            return Ok(Served::default());
        }
        match self.receiver.serve(&self.tap, queue, memory, mergeable) {
            Err(ServeError::Host(error)) => {
                // Nothing that a reset by the driver would help.
                tracing::warn!("tap '{}' is gone: {error}; the guest sees its link down", self.tap.name());
                self.link_up = false;
                self.generation = self.generation.wrapping_add(1);
                Ok(Served { interrupt: true, more: false })
            }
            served => served,
        }
    }

    fn control(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let limit = queue.max_size();
        serve_each(queue, memory, |chain| {
            let buffers = chain::checked(chain, memory, limit)?;
            let (command, answer) = control::read(&buffers, memory, self.accepted)?;
            let said = match command {
                control::Command::Announced => {
                    self.announce = false;
                    control::DONE
                }
                control::Command::Address(mac) => {
                    self.mac = mac;
                    control::DONE
                }
                control::Command::Unknown => control::REFUSED,
            };
            memory.write_obj(said, answer).map_err(virtio_queue::Error::GuestMemory)?;
            Ok(1)
        })
    }
}

impl VirtioDevice for Net {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        self.offered
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn sources(&self) -> Vec<Source> {
        let limits = [(self.receiver.limit(), RECEIVE), (self.transmit_limit.as_ref(), TRANSMIT)];
        let limits =
            limits.into_iter().filter_map(|(limit, queue)| Some(Source::to_read(limit?.fd(), queue)));
        // A driver that is at work has a queue to send in, always.
        let own =
            [Source::to_read(self.tap.as_raw_fd(), RECEIVE), Source::to_read(self.announcer.fd(), TRANSMIT)];
        own.into_iter().chain(limits).collect()
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = self.config_space();
        let there = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or(&[]);
        let bytes = there.iter().chain(std::iter::repeat(&0));
        data.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    /// A modern driver changes nothing here.
    fn write_config(&mut self, _: u64, _: &[u8]) {}

    fn config_generation(&self) -> u32 {
        self.generation
    }

    fn activate(&mut self, features: u64) {
        self.accepted = features;
        self.tap.set_offload(tap_offloads(features));
        // What came before there was a driver, or while the guest ran elsewhere, is not for it.
        self.tap.drain();
    }

    fn reset(&mut self) {
        self.accepted = 0;
        self.mac = self.permanent_mac;
        self.announce = false;
        self.announcer.end();
        self.receiver.forget();
        self.tap.set_offload(0);
    }

    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        match index {
            RECEIVE => self.receive(queue, memory),
            TRANSMIT => {
                self.announce_if_due();
                transmit::serve(&self.tap, &mut self.transmit_limit, queue, memory)
            }
            _ => self.control(queue, memory),
        }
    }

    /// Nothing is in flight outside of `serve` but a frame that waits, which is saved.
    fn pause(&mut self) {}

    fn resume(&mut self) {
        if std::mem::take(&mut self.moved) {
            self.announcer.begin();
        }
    }
}
