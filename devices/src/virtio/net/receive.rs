//! Frames from the tap into the driver's buffers.
//!
//! One frame at a time is read to a buffer of our own, where it waits while the driver has no room for it or the rate
//! limit forbids it; it is saved with the device, so none is lost on a move that was taken from the tap.

use virtio_queue::{Queue, QueueT, desc::split::Descriptor};

use super::{features::*, passed::Passed, tap::Tap};
use crate::{
    GuestMemory,
    rate_limiter::RateLimiter,
    virtio::{
        ServeError, Served, chain,
        queue::{Offered, next_room},
        used::{publish, wants_interrupt},
    },
};

/// The frame that is on its way to the driver, and the buffers it goes to.
pub struct Receiver {
    frame: Box<[u8]>,
    /// Bytes of the frame, its header included; 0 for none.
    len: usize,
    /// The rate limit has let it pass.
    admitted: bool,
    buffers: Vec<Descriptor>,
    heads: Vec<(u16, u32)>,
    received: Passed,
}

/// What became of the frame.
enum Delivery {
    Done,
    NoRoom,
    /// It can never be delivered.
    Impossible,
}

impl Receiver {
    pub fn new() -> Self {
        let frame = vec![0; FRAME_BYTES].into_boxed_slice();
        let (buffers, heads) = (Vec::new(), Vec::new());
        Self { frame, len: 0, admitted: false, buffers, heads, received: Passed::default() }
    }

    /// What the driver has been given.
    pub fn received(&self) -> Passed {
        self.received
    }

    /// The frame that waits, with its header; empty when none does.
    pub fn waiting(&self) -> &[u8] {
        &self.frame[..self.len]
    }

    /// Lets a saved frame wait, or none where `frame` is empty; says what is wrong with it if it cannot be.
    pub fn set_waiting(&mut self, frame: &[u8]) -> Result<(), String> {
        if !frame.is_empty() && !(HEADER_BYTES + 1..=FRAME_BYTES).contains(&frame.len()) {
            return Err(format!("a frame of {} bytes cannot be waiting", frame.len()));
        }
        self.frame[..frame.len()].copy_from_slice(frame);
        (self.len, self.admitted) = (frame.len(), false);
        Ok(())
    }

    /// Throws the frame that waits away.
    pub fn forget(&mut self) {
        self.len = 0;
    }

    /// Moves frames while there are both frames and room, at most one round of the ring.
    ///
    /// # Errors
    /// [`ServeError::Host`] when the tap is gone, the others for a driver that broke the rules.
    pub fn serve(
        &mut self,
        tap: &Tap,
        limit: &mut Option<RateLimiter>,
        queue: &mut Queue,
        memory: &GuestMemory,
        mergeable: bool,
    ) -> Result<Served, ServeError> {
        let since = queue.next_used();
        // Room is of no interest until a frame wants it.
        queue.disable_notification(memory)?;
        let mut left = queue.size();
        let more = loop {
            if left == 0 {
                break true;
            }
            if !self.next_frame(tap)? || !self.admit(limit) {
                break false;
            }
            match self.deliver(queue, memory, mergeable)? {
                Delivery::NoRoom => break false,
                Delivery::Done | Delivery::Impossible => self.len = 0,
            }
            left -= 1;
        };
        Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, more })
    }

    /// Whether there is a frame; takes one from the tap where none waits.
    fn next_frame(&mut self, tap: &Tap) -> Result<bool, ServeError> {
        while self.len <= HEADER_BYTES {
            (self.len, self.admitted) = (0, false);
            match tap.read(&mut self.frame)? {
                None | Some(0) => return Ok(false),
                Some(len) => self.len = len,
            }
        }
        Ok(true)
    }

    fn admit(&mut self, limit: &mut Option<RateLimiter>) -> bool {
        let bytes = (self.len - HEADER_BYTES) as u64;
        self.admitted = self.admitted || limit.as_mut().is_none_or(|limit| limit.admit(bytes));
        self.admitted
    }

    /// Puts the frame into as many chains as it takes, which a driver without mergeable buffers must see as one.
    fn deliver(
        &mut self,
        queue: &mut Queue,
        memory: &GuestMemory,
        mergeable: bool,
    ) -> Result<Delivery, ServeError> {
        self.buffers.clear();
        self.heads.clear();
        let start = queue.next_avail();
        let most = if mergeable { queue.size().into() } else { 1 };
        let mut room = 0;
        while room < self.len {
            let give_up = if self.heads.len() == most { Some(Delivery::Impossible) } else { None };
            let offered = if give_up.is_none() { next_room(queue, memory)? } else { None };
            let Some(Offered { head, buffers }) = offered else {
                // Looked at again from here on; the driver was asked to notify of what comes behind what was seen.
                queue.set_next_avail(start);
                return Ok(give_up.unwrap_or(Delivery::NoRoom));
            };
            let bytes = chain::bytes_in(&buffers);
            if bytes < HEADER_BYTES {
                return Err(ServeError::Chain("has no room for a frame's header"));
            }
            let used = bytes.min(self.len - room);
            room += used;
            // At most FRAME_BYTES.
            self.heads.push((head, used as u32));
            self.buffers.extend(buffers);
        }
        self.write(memory)?;
        publish(queue, memory, &self.heads)?;
        self.received.add(self.len - HEADER_BYTES);
        Ok(Delivery::Done)
    }

    fn write(&mut self, memory: &GuestMemory) -> Result<(), ServeError> {
        // At most as many as a queue has entries.
        let count = (self.heads.len() as u16).to_le_bytes();
        self.frame[NUM_BUFFERS_OFFSET..HEADER_BYTES].copy_from_slice(&count);
        chain::scatter(&self.frame[..self.len], &self.buffers, memory)
    }
}
