//! What a network card that has moved says of itself, heard on every interface of this host.

use std::{
    io::Read,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Every protocol, for a packet socket (if_ether.h).
const ETH_P_ALL: u16 = 3;
const ARP: [u8; 2] = [8, 6];
const RARP: [u8; 2] = [0x80, 0x35];
const SOURCE: std::ops::Range<usize> = 6..12;
const TYPE: std::ops::Range<usize> = 12..14;
const ARP_SENDER_IP: std::ops::Range<usize> = 28..32;
const ARP_TARGET_IP: std::ops::Range<usize> = 38..42;

/// Announcements heard so far; each is heard on several interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Reverse ARP requests in its name: the host's part.
    pub rarp: usize,
    /// ARP of an address for itself: the guest's part.
    pub gratuitous: usize,
}

/// Hears the announcements of one card.
pub struct Announcements(Arc<Mutex<Count>>);

impl Announcements {
    /// Begins to hear those of the card `mac` with the address `ip`.
    ///
    /// # Panics
    /// Where this process may not listen to all that its host hears.
    #[must_use]
    pub fn of(mac: [u8; 6], ip: Ipv4Addr) -> Self {
        let all = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(all)).expect("a packet socket");
        let count = Arc::new(Mutex::new(Count::default()));
        let shared = Arc::clone(&count);
        thread::spawn(move || {
            let mut frame = [0; 64];
            while let Ok(len) = socket.read(&mut frame) {
                if len < ARP_TARGET_IP.end || frame[SOURCE] != mac {
                    continue;
                }
                let mut count = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if frame[TYPE] == RARP {
                    count.rarp += 1;
                } else if frame[TYPE] == ARP
                    && frame[ARP_SENDER_IP] == ip.octets()
                    && frame[ARP_TARGET_IP] == ip.octets()
                {
                    count.gratuitous += 1;
                }
            }
        });
        Self(count)
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> Count {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
