//! One queue of a transport: set up by the driver register by register, checked as a whole when it is declared
//! ready, and served in bounded portions.
//!
//! `virtio-queue` does the rings. Neighbours: [`super::mmio`] has the registers, [`super::state`] what is saved.

use virtio_queue::{Queue, QueueOwnedT, QueueT, desc::split::Descriptor};
use vm_memory::GuestAddress;

use super::{
    ServeError, chain,
    state::QueueState,
    used::{publish, wants_interrupt},
};
use crate::GuestMemory;

/// What came of serving a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The driver wants an interrupt for it.
    pub interrupt: bool,
    /// There may be more to do: serve again without waiting for a notification.
    pub more: bool,
}

/// A chain that the driver has made available, checked.
pub struct Offered {
    /// By which it is given back.
    pub head: u16,
    /// Its buffers, all of them in memory.
    pub buffers: Vec<Descriptor>,
}

/// What became of a chain.
pub enum Taken {
    /// It is the driver's again, with so many bytes written.
    Done(u32),
    /// The device keeps it, and gives it back by itself.
    Kept,
    /// It stays in the queue, and all behind it: something else than a notification says when to look again.
    Later,
}

/// Serves what is available, at most one round of the ring: `one` is handed chain by chain. Interrupts are for all that was
/// used since the ring's position `since`.
///
/// # Errors
/// Those of `one`, [`ServeError::Chain`] for a chain that breaks the rules, and [`ServeError::Queue`] for a broken ring.
pub fn serve_each(
    queue: &mut Queue,
    memory: &GuestMemory,
    since: u16,
    mut one: impl FnMut(&Offered) -> Result<Taken, ServeError>,
) -> Result<Served, ServeError> {
    let mut left = queue.size();
    let mut more = true;
    'portion: while more && left > 0 {
        queue.disable_notification(memory)?;
        while left > 0 {
            let start = queue.next_avail();
            let Some(chain) = queue.iter(memory)?.next() else { break };
            let head = chain.head_index();
            let buffers = chain::checked(chain, memory, queue.max_size())?;
            match one(&Offered { head, buffers })? {
                Taken::Done(written) => publish(queue, memory, &[(head, written)])?,
                Taken::Kept => {}
                Taken::Later => {
                    queue.set_next_avail(start);
                    more = false;
                    break 'portion;
                }
            }
            left -= 1;
        }
        // Kept disabled when the portion is used up: the caller comes back by itself.
        more = left == 0 || queue.enable_notification(memory)?;
    }
    Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, more })
}

/// The next chain, after a second look where there is none: the driver is asked to tell of one only then. For a device that
/// has something to write, and to which room is of no interest before that.
///
/// # Errors
/// [`ServeError::Chain`] for a chain that breaks the rules, or has a buffer to read; and [`ServeError::Queue`].
pub fn next_room(queue: &mut Queue, memory: &GuestMemory) -> Result<Option<Offered>, ServeError> {
    let mut chain = queue.iter(memory)?.next();
    if chain.is_none() && queue.enable_notification(memory)? {
        queue.disable_notification(memory)?;
        chain = queue.iter(memory)?.next();
    }
    let Some(chain) = chain else { return Ok(None) };
    let head = chain.head_index();
    let buffers = chain::checked(chain, memory, queue.max_size())?;
    if !buffers.iter().all(Descriptor::is_write_only) {
        return Err(ServeError::Chain("has a buffer to read in a queue for what the device writes"));
    }
    Ok(Some(Offered { head, buffers }))
}

/// A queue as the driver sees it through the registers.
pub struct QueueSlot {
    max_size: u16,
    /// As written by the driver; only a size that is checked becomes part of `ready`.
    pub size: u32,
    pub desc: u64,
    pub driver: u64,
    pub device: u64,
    /// The queue, once it was declared ready and found good.
    pub ready: Option<Queue>,
}

impl QueueSlot {
    pub fn new(max_size: u16) -> Self {
        Self { max_size, size: max_size.into(), desc: 0, driver: 0, device: 0, ready: None }
    }

    pub fn max_size(&self) -> u16 {
        self.max_size
    }

    /// Makes the queue ready, from ring positions `next_avail` and `next_used`; says what is wrong with it if it is
    /// not.
    pub fn make_ready(
        &mut self,
        memory: &GuestMemory,
        event_idx: bool,
        next_avail: u16,
        next_used: u16,
    ) -> Result<(), String> {
        let mut queue = Queue::new(self.max_size).map_err(|e| e.to_string())?;
        let size = u16::try_from(self.size).map_err(|_| format!("its size {} is too large", self.size))?;
        let set = queue
            .try_set_size(size)
            .and_then(|()| queue.try_set_desc_table_address(GuestAddress(self.desc)))
            .and_then(|()| queue.try_set_avail_ring_address(GuestAddress(self.driver)))
            .and_then(|()| queue.try_set_used_ring_address(GuestAddress(self.device)));
        set.map_err(|error| error.to_string())?;
        queue.set_event_idx(event_idx);
        queue.set_next_avail(next_avail);
        queue.set_next_used(next_used);
        queue.set_ready(true);
        // Address 0 is what virtio-queue takes for "not set".
        if self.driver == 0 || !queue.is_valid(memory) {
            return Err("its rings are not within memory".into());
        }
        self.ready = Some(queue);
        Ok(())
    }

    pub fn save(&self) -> QueueState {
        QueueState {
            size: self.size,
            desc: self.desc,
            driver: self.driver,
            device: self.device,
            ready: self.ready.is_some(),
            next_avail: self.ready.as_ref().map_or(0, QueueT::next_avail),
            next_used: self.ready.as_ref().map_or(0, QueueT::next_used),
        }
    }

    /// Takes over a saved queue; says what is wrong with it if it cannot be.
    pub fn restore(
        &mut self,
        saved: &QueueState,
        memory: &GuestMemory,
        event_idx: bool,
    ) -> Result<(), String> {
        let mut slot = Self { size: saved.size, desc: saved.desc, ..Self::new(self.max_size) };
        (slot.driver, slot.device) = (saved.driver, saved.device);
        if saved.ready {
            slot.make_ready(memory, event_idx, saved.next_avail, saved.next_used)?;
        } else if saved.next_avail != 0 || saved.next_used != 0 {
            return Err("it has ring positions without being ready".into());
        }
        *self = slot;
        Ok(())
    }
}
