//! The network card (virtio 1.2 §5.1) on a tap of the host.
//!
//! Checksums, segmentation and mergeable buffers pass through between guest and tap as they are. After a move the card
//! announces itself: the host sends a reverse ARP request in its name, and a guest that agreed to it is asked to send
//! what only it can. It has a pair of queues, or several, each with a queue of the tap; the guest says how many of them it
//! uses, and the host spreads what it sends over those. Neighbours: [`config`] has the options, [`receive`] and [`transmit`] move frames, [`control`]
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
#[cfg(test)]
mod pairs_test;
mod passed;
mod receive;
mod state;
mod sys;
mod tap;
#[cfg(test)]
mod tap_test;
mod transmit;

use std::{io, os::fd::AsRawFd};

use virtio_queue::{Queue, QueueT};
use vm_memory::Bytes;

#[cfg(test)]
pub(crate) use self::net_test::{net_on_a_socket, net_with_wires};
use self::{announce::Announcer, features::*, passed::Passed, receive::Receiver};
pub use self::{
    config::{NET_KEYS, NetConfig, NetError},
    mac::Mac,
    state::NetState,
    tap::{Tap, TapError},
};
use super::{
    ServeError, Served, Source, VirtioDevice,
    queue::{Offered, Taken, serve_each},
};
use crate::{Counters, GuestMemory, rate_limiter::RateLimiter};

/// Device type of a network card.
const DEVICE_TYPE: u32 = 1;
/// Where the first pair sends.
const TRANSMIT: usize = 1;

/// Bytes of the configuration space: address, status, number of queue pairs, MTU.
const CONFIG_BYTES: usize = 12;

/// What a queue is for.
#[derive(Clone, Copy)]
enum Use {
    /// To the guest, of a pair.
    Receive(usize),
    /// From the guest, of a pair.
    Transmit(usize),
    Control,
    /// Of a pair that the driver does not use.
    Nothing,
}

/// The host's side of a pair of queues.
struct Pair {
    tap: Tap,
    receiver: Receiver,
    sent: Passed,
}

impl Pair {
    fn new(tap: Tap) -> Self {
        Self { tap, receiver: Receiver::new(), sent: Passed::default() }
    }
}

/// A network card.
pub struct Net {
    pairs: Vec<Pair>,
    /// Of these, the first so many are used.
    used_pairs: usize,
    /// Its address as it was made, and as the driver has set it.
    permanent_mac: Mac,
    mac: Mac,
    mtu: u16,
    /// What is asked of a guest that comes here, as far as it was said.
    wanted: (Option<Mac>, Option<u16>),
    offered: u64,
    queue_sizes: Vec<u16>,
    /// What the driver has accepted.
    accepted: u64,
    link_up: bool,
    /// The driver is asked to announce itself.
    announce: bool,
    generation: u32,
    receive_limit: Option<RateLimiter>,
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
        let taps = match (&config.tap, &config.fds) {
            (Some(name), None) => Tap::open(name, config.mtu, config.pairs())?,
            (None, Some(fds)) => Tap::given(fds)?,
            _ => return Err(NetError::Tap),
        };
        Self::on(taps, config)
    }

    /// The card that `config` asks for, on the queues of a tap, one for each pair.
    fn on(taps: Vec<Tap>, config: &NetConfig) -> Result<Self, NetError> {
        let mac = config.mac.map_or_else(Mac::random, Ok).map_err(NetError::Host)?;
        let limit = || config.rate_limiter_config.as_ref().map(RateLimiter::new).transpose();
        let mut net = Self {
            used_pairs: taps.len(),
            pairs: taps.into_iter().map(Pair::new).collect(),
            permanent_mac: mac,
            mac,
            mtu: config.mtu.unwrap_or(config::DEFAULT_MTU),
            wanted: (config.mac, config.mtu),
            offered: config.features(),
            queue_sizes: config.queue_sizes(),
            accepted: 0,
            link_up: true,
            announce: false,
            generation: 0,
            receive_limit: limit().map_err(NetError::Host)?,
            transmit_limit: limit().map_err(NetError::Host)?,
            announcer: Announcer::new().map_err(NetError::Host)?,
            moved: false,
        };
        net.use_pairs(1).map_err(NetError::Host)?;
        Ok(net)
    }

    /// What queue `index` is for. The control queue comes last, behind those pairs that the driver knows of (§5.1.2).
    fn use_of(&self, index: usize) -> Use {
        let known_pairs = if self.accepted & F_MQ == 0 { 1 } else { self.pairs.len() };
        match (index / 2, index % 2) {
            (pair, 0) if pair == known_pairs => Use::Control,
            (pair, _) if pair >= self.used_pairs => Use::Nothing,
            (pair, 0) => Use::Receive(pair),
            (pair, _) => Use::Transmit(pair),
        }
    }

    /// Has the host spread what it sends over the first `count` pairs, of those that there are.
    fn use_pairs(&mut self, count: usize) -> io::Result<()> {
        // The last ones go first, so that the others keep their places with the host.
        for pair in self.pairs.iter_mut().skip(count).rev() {
            pair.tap.set_used(false)?;
            pair.receiver.forget();
        }
        for pair in self.pairs.iter_mut().take(count) {
            pair.tap.set_used(true)?;
        }
        self.used_pairs = count;
        Ok(())
    }

    /// As [`use_pairs`](Self::use_pairs), where nobody can be told that it failed.
    fn use_pairs_or_warn(&mut self, count: usize) {
        if let Err(error) = self.use_pairs(count) {
            let name = self.pairs[0].tap.name();
            tracing::warn!("tap '{name}' does not use {count} queues: {error}");
        }
    }

    fn config_space(&self) -> [u8; CONFIG_BYTES] {
        let mut space = [0; CONFIG_BYTES];
        space[..6].copy_from_slice(&self.mac.0);
        let announce = if self.announce { STATUS_ANNOUNCE } else { 0 };
        let link = if self.link_up { STATUS_LINK_UP } else { 0 };
        space[6..8].copy_from_slice(&(link | announce).to_le_bytes());
        // At most 8.
        space[8..10].copy_from_slice(&(self.pairs.len() as u16).to_le_bytes());
        space[10..].copy_from_slice(&self.mtu.to_le_bytes());
        space
    }

    /// Announces where the card is now, if that is due.
    fn announce_if_due(&mut self) {
        if !self.announcer.take() {
            return;
        }
        let tap = &self.pairs[0].tap;
        if let Err(error) = tap.write_own(&announce::rarp(self.mac)) {
            tracing::debug!("tap '{}' does not take an announcement: {error}", tap.name());
        }
        if self.accepted & F_GUEST_ANNOUNCE != 0 {
            self.announce = true;
            self.generation = self.generation.wrapping_add(1);
        }
    }

    fn receive(
        &mut self,
        pair: usize,
        queue: &mut Queue,
        memory: &GuestMemory,
    ) -> Result<Served, ServeError> {
        let mergeable = self.accepted & F_MRG_RXBUF != 0;
        if !self.link_up {
            return Ok(Served::default());
        }
        let Pair { tap, receiver, .. } = &mut self.pairs[pair];
        match receiver.serve(tap, &mut self.receive_limit, queue, memory, mergeable) {
            Err(ServeError::Host(error)) => {
                // Nothing that a reset by the driver would help.
                tracing::warn!("tap '{}' is gone: {error}; the guest sees its link down", tap.name());
                self.link_up = false;
                self.generation = self.generation.wrapping_add(1);
                Ok(Served { interrupt: true, more: false })
            }
            served => served,
        }
    }

    /// The driver wants to use so many pairs; what it is answered.
    fn driver_uses(&mut self, count: u16) -> u8 {
        let (before, count) = (self.used_pairs, usize::from(count));
        if !(1..=self.pairs.len()).contains(&count) {
            return control::REFUSED;
        }
        if let Err(error) = self.use_pairs(count) {
            let name = self.pairs[0].tap.name();
            tracing::warn!("tap '{name}' does not use {count} queues instead of {before}: {error}");
            self.use_pairs_or_warn(before);
            return control::REFUSED;
        }
        control::DONE
    }

    fn control(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        serve_each(queue, memory, queue.next_used(), |Offered { buffers, .. }| {
            let (command, answer) = control::read(buffers, memory, self.accepted)?;
            let said = match command {
                control::Command::Announced => {
                    self.announce = false;
                    control::DONE
                }
                control::Command::Address(mac) => {
                    self.mac = mac;
                    control::DONE
                }
                control::Command::Pairs(count) => self.driver_uses(count),
                control::Command::Unknown => control::REFUSED,
            };
            memory.write_obj(said, answer).map_err(virtio_queue::Error::GuestMemory)?;
            Ok(Taken::Done(1))
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
        let all = 0..2 * self.pairs.len();
        // What a limit lets through may be of any pair.
        let limits = self.receive_limit.iter().chain(&self.transmit_limit);
        let limits = limits.map(|limit| Source { queues: all.clone(), ..Source::to_read(limit.fd(), 0) });
        let taps = (0..).step_by(2).zip(&self.pairs);
        let taps = taps.map(|(queue, pair)| Source::to_read(pair.tap.as_raw_fd(), queue));
        // A driver that is at work has a queue to send in, always.
        let announcer = [Source::to_read(self.announcer.fd(), TRANSMIT)];
        taps.chain(announcer).chain(limits).collect()
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
        self.pairs[0].tap.set_offload(tap_offloads(features));
        // What came before there was a driver, or while the guest ran elsewhere, is not for it.
        self.pairs.iter().for_each(|pair| pair.tap.drain());
    }

    fn reset(&mut self) {
        self.accepted = 0;
        self.mac = self.permanent_mac;
        self.announce = false;
        self.announcer.end();
        self.pairs.iter_mut().for_each(|pair| pair.receiver.forget());
        self.use_pairs_or_warn(1);
        self.pairs[0].tap.set_offload(0);
    }

    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        match self.use_of(index) {
            Use::Receive(pair) => self.receive(pair, queue, memory),
            Use::Transmit(pair) => {
                self.announce_if_due();
                let Pair { tap, sent, .. } = &mut self.pairs[pair];
                transmit::serve(tap, &mut self.transmit_limit, sent, queue, memory)
            }
            Use::Control => self.control(queue, memory),
            Use::Nothing => Ok(Served::default()),
        }
    }

    /// Of all pairs together, by Cloud Hypervisor's names: "rx" is what came to the guest.
    fn counters(&self) -> Counters {
        let sum = |of: fn(&Pair) -> Passed| self.pairs.iter().map(of).fold(Passed::default(), Passed::and);
        let (received, sent) = (sum(|pair| pair.receiver.received()), sum(|pair| pair.sent));
        Counters::from([
            ("rx_bytes", received.bytes),
            ("rx_frames", received.frames),
            ("tx_bytes", sent.bytes),
            ("tx_frames", sent.frames),
        ])
    }

    /// Nothing is in flight outside of `serve` but a frame that waits, which is saved.
    fn pause(&mut self) {}

    fn resume(&mut self) {
        if std::mem::take(&mut self.moved) {
            self.announcer.begin();
        }
    }
}
