//! What is saved of a network card.

use godwit_state::{Save, Schema, Section, StateError};
use serde::{Deserialize, Serialize};

use super::{Mac, Net, features::F_MQ};

/// Saved state of a network card, version 2. Its host side (tap, rate limits) is not: the guest meets another where it
/// goes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct NetState {
    /// Address that it was made with.
    pub permanent_mac: [u8; 6],
    /// Address that the driver uses.
    pub mac: [u8; 6],
    /// Largest packet, as the configuration space has it.
    pub mtu: u16,
    /// The driver has been asked to announce itself, and has not said that it did.
    pub announce: bool,
    /// Pairs of queues that the driver uses.
    pub used_pairs: u16,
    /// For each pair that there is, a frame, with its header, that came from the tap and for which the driver had no room
    /// yet; empty where there is none.
    pub waiting: Vec<Vec<u8>>,
}

/// Version 1: a card had one pair.
#[derive(Deserialize)]
struct OnePair {
    permanent_mac: [u8; 6],
    mac: [u8; 6],
    mtu: u16,
    announce: bool,
    waiting: Vec<u8>,
}

impl Schema for NetState {
    const KIND: &'static str = "virtio-net";
    const VERSION: u16 = 2;
    const OLDEST: u16 = 1;

    fn upgrade(section: &Section) -> Result<Self, StateError> {
        let OnePair { permanent_mac, mac, mtu, announce, waiting } = section.decode()?;
        Ok(Self { permanent_mac, mac, mtu, announce, used_pairs: 1, waiting: vec![waiting] })
    }
}

impl Net {
    /// What is wrong with `state` here.
    fn unfit(&self, state: &NetState) -> Option<String> {
        let (mac, mtu) = self.wanted;
        let permanent = Mac(state.permanent_mac);
        if let Some(own) = mac.filter(|own| *own != permanent) {
            return Some(format!(
                "the guest's card has the address {permanent}, this one {own}: leave mac= out here"
            ));
        }
        if let Some(own) = mtu.filter(|own| *own != state.mtu) {
            return Some(format!(
                "the guest's card has an MTU of {}, this one {own}: leave mtu= out here",
                state.mtu
            ));
        }
        let (pairs, used) = (self.pairs.len(), usize::from(state.used_pairs));
        if state.waiting.len() != pairs {
            let count = state.waiting.len();
            return Some(format!("it has {count} frames that may wait for {pairs} pairs of queues"));
        }
        if !(1..=pairs).contains(&used) || (used > 1 && self.accepted & F_MQ == 0) {
            return Some(format!("its driver uses {used} pairs of queues, which it does not have"));
        }
        let wrong = [permanent, Mac(state.mac)].into_iter().find(|mac| !mac.is_of_one_station())?;
        Some(format!("{wrong} is not the address of one card"))
    }
}

impl Save for Net {
    type State = NetState;

    fn save(&self) -> Result<NetState, StateError> {
        Ok(NetState {
            permanent_mac: self.permanent_mac.0,
            mac: self.mac.0,
            mtu: self.mtu,
            announce: self.announce,
            // At most 8.
            used_pairs: self.used_pairs as u16,
            waiting: self.pairs.iter().map(|pair| pair.receiver.waiting().to_vec()).collect(),
        })
    }

    /// A card that takes over a state has moved, and announces that when it is resumed.
    fn restore(&mut self, state: &NetState) -> Result<(), StateError> {
        let invalid = |reason| StateError::Invalid { instance: NetState::KIND.into(), reason };
        if let Some(reason) = self.unfit(state) {
            return Err(invalid(reason));
        }
        let used = usize::from(state.used_pairs);
        self.use_pairs(used)
            .map_err(|error| invalid(format!("the tap does not use {used} queues: {error}")))?;
        for (pair, frame) in self.pairs.iter_mut().zip(&state.waiting) {
            pair.receiver.set_waiting(frame).map_err(invalid)?;
        }
        self.permanent_mac = Mac(state.permanent_mac);
        self.mac = Mac(state.mac);
        self.mtu = state.mtu;
        self.announce = state.announce;
        self.moved = true;
        Ok(())
    }
}
