//! When a card that has moved announces itself, and the frame that the host does it with.
//!
//! The first time is at once, so that switches learn the new way before anybody misses the guest; it is repeated with
//! growing pauses, since a switch may take a moment until a new port forwards. The frame is a reverse ARP request, as
//! it needs no address but the card's own. What the guest sends by itself (gratuitous ARP, neighbour advertisements) is
//! asked for in the same rhythm.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use vmm_sys_util::timerfd::TimerFd;

use super::{features::HEADER_BYTES, mac::Mac};

/// Pauses before each announcement, in milliseconds.
const PAUSES_MS: [u64; 5] = [0, 50, 150, 250, 550];
/// Least Ethernet frame, its checksum not counted.
const LEAST_FRAME_BYTES: usize = 60;
const ETHERTYPE_RARP: [u8; 2] = [0x80, 0x35];
/// Ethernet, IPv4, and the lengths of their addresses; "request reverse" (RFC 903).
const RARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 3];

/// The announcements that are still to be made.
#[derive(Debug)]
pub struct Announcer {
    timer: TimerFd,
    /// How many have been made; all of them where there is nothing to announce.
    made: usize,
    due: Instant,
}

impl Announcer {
    /// Has nothing to announce.
    ///
    /// # Errors
    /// Those of timerfd_create(2): out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new().map_err(|error| io::Error::from_raw_os_error(error.errno()))?;
        Ok(Self { timer, made: PAUSES_MS.len(), due: Instant::now() })
    }

    /// Becomes readable when an announcement is due.
    pub fn fd(&self) -> RawFd {
        self.timer.as_raw_fd()
    }

    /// Begins with the first announcement.
    pub fn begin(&mut self) {
        self.made = 0;
        self.due = Instant::now();
    }

    /// Makes no more of them.
    pub fn end(&mut self) {
        self.made = PAUSES_MS.len();
    }

    /// Whether one is due now; the next one then is due after the next pause.
    pub fn take(&mut self) -> bool {
        if self.made == PAUSES_MS.len() {
            return false;
        }
        let left = self.due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            // Asked for some other reason, or by a timer that was set before a pause.
            self.wake_after(left);
            return false;
        }
        self.made += 1;
        if let Some(pause) = PAUSES_MS.get(self.made) {
            let pause = Duration::from_millis(*pause);
            self.due = Instant::now() + pause;
            self.wake_after(pause);
        }
        true
    }

    fn wake_after(&mut self, pause: Duration) {
        if let Err(error) = self.timer.reset(pause, None) {
            tracing::warn!("the timer of a network card's announcements cannot be set: {error}");
        }
    }
}

/// A reverse ARP request from `mac` to everybody, behind a header that asks for nothing.
pub fn rarp(mac: Mac) -> [u8; HEADER_BYTES + LEAST_FRAME_BYTES] {
    let mut frame = [0; HEADER_BYTES + LEAST_FRAME_BYTES];
    let no_ip: &[u8] = &[0; 4];
    let parts = [&[0xff; 6], &mac.0, &ETHERTYPE_RARP[..], &RARP_REQUEST, &mac.0, no_ip, &mac.0, no_ip];
    let bytes = parts.into_iter().flatten();
    frame[HEADER_BYTES..].iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    frame
}
