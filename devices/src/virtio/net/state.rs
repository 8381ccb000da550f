//! What is saved of a network card.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use super::{Mac, Net};

/// Saved state of a network card, version 1. Its host side (tap, rate limits) is not: the guest meets another where it
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
    /// A frame, with its header, that came from the tap and for which the driver had no room yet.
    pub waiting: Vec<u8>,
}

impl Schema for NetState {
    const KIND: &'static str = "virtio-net";
    const VERSION: u16 = 1;
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
            waiting: self.receiver.waiting().to_vec(),
        })
    }

    /// A card that takes over a state has moved, and announces that when it is resumed.
    fn restore(&mut self, state: &NetState) -> Result<(), StateError> {
        let invalid = |reason| StateError::Invalid { instance: NetState::KIND.into(), reason };
        if let Some(reason) = self.unfit(state) {
            return Err(invalid(reason));
        }
        self.receiver.set_waiting(&state.waiting).map_err(invalid)?;
        self.permanent_mac = Mac(state.permanent_mac);
        self.mac = Mac(state.mac);
        self.mtu = state.mtu;
        self.announce = state.announce;
        self.moved = true;
        Ok(())
    }
}
