//! What the guest tells of its memory (virtio 1.2 §5.5.6.3). The driver leaves a buffer; giving it back asks for it to
//! be filled again, so there is one in flight all the time, which a saved state carries.

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT, desc::split::Descriptor};
use vm_memory::{Bytes, GuestAddress};

use super::super::{ServeError, Served, chain};
use crate::GuestMemory;

/// Names of the statistics by their tags (§5.5.6.4, and those that Linux added): pages and memory in bytes, the others
/// counted since the guest booted.
pub const STATISTICS: [&str; 16] = [
    "swap_in",
    "swap_out",
    "major_faults",
    "minor_faults",
    "free_memory",
    "total_memory",
    "available_memory",
    "disk_caches",
    "hugetlb_allocations",
    "hugetlb_failures",
    "oom_kill",
    "alloc_stall",
    "async_scan",
    "direct_scan",
    "async_reclaim",
    "direct_reclaim",
];

/// Bytes of an entry: a tag of 16 bits and a value of 64, packed.
const ENTRY_BYTES: usize = 10;
/// Most entries that are looked at.
const MAX_ENTRIES: usize = 64;

/// What the guest told, each where it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics([Option<u64>; STATISTICS.len()]);

impl Statistics {
    /// Names and values of what was told.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STATISTICS.iter().zip(self.0).filter_map(|(name, value)| Some((*name, value?)))
    }

    fn set(&mut self, entry: [u8; ENTRY_BYTES]) {
        let [t0, t1, value @ ..] = entry;
        if let Some(slot) = self.0.get_mut(usize::from(u16::from_le_bytes([t0, t1]))) {
            *slot = Some(u64::from_le_bytes(value));
        }
    }
}

/// The queue of statistics: what was told last, and the driver's buffer while the device keeps it.
#[derive(Debug, Default)]
pub struct StatisticsQueue {
    last: Statistics,
    is_asked: bool,
    kept: Option<u16>,
}

impl StatisticsQueue {
    /// A queue whose device keeps that buffer.
    pub fn keeping(kept: Option<u16>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// The buffer that the device keeps, by the head of its chain.
    pub fn kept(&self) -> Option<u16> {
        self.kept
    }

    /// What was told last.
    pub fn last(&self) -> &Statistics {
        &self.last
    }

    /// Wants new ones, when the queue is served next.
    pub fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Whether those that were asked for have not come.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Takes what came, and gives the buffer back where new statistics are wanted: those that come next answer. At most
    /// one round of the ring.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn serve(&mut self, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let mut back = None;
        if self.is_asked {
            back = self.kept.take();
        }
        let mut given_back = false;
        let mut left = queue.size();
        let mut more = true;
        while more && left > 0 {
            queue.disable_notification(memory)?;
            while left > 0 {
                if let Some(head) = back.take() {
                    queue.add_used(memory, head, 0)?;
                    given_back = true;
                }
                let Some(chain) = queue.iter(memory)?.next() else { break };
                let head = chain.head_index();
                self.last = told(chain, memory, queue.max_size())?;
                self.is_asked = false;
                // A driver has one buffer; one that has more gets the older back.
                back = self.kept.replace(head);
                left -= 1;
            }
            more = left == 0 || queue.enable_notification(memory)?;
        }
        if let Some(head) = back {
            queue.add_used(memory, head, 0)?;
            given_back = true;
        }
        Ok(Served { interrupt: given_back && queue.needs_notification(memory)?, more })
    }
}

/// Reads a buffer of statistics; an entry may lie across descriptors.
fn told(
    chain: DescriptorChain<&GuestMemory>,
    memory: &GuestMemory,
    limit: u16,
) -> Result<Statistics, ServeError> {
    let buffers = chain::checked(chain, memory, limit)?;
    if buffers.iter().any(Descriptor::is_write_only) {
        return Err(ServeError::Chain("has a buffer to write in a queue for statistics"));
    }
    let mut bytes = Vec::new();
    for buffer in buffers {
        let from = bytes.len();
        let len = (buffer.len() as usize).min(MAX_ENTRIES * ENTRY_BYTES - from);
        bytes.resize(from + len, 0);
        let address = GuestAddress(buffer.addr().0);
        memory.read_slice(&mut bytes[from..], address).map_err(virtio_queue::Error::GuestMemory)?;
    }
    let mut statistics = Statistics::default();
    bytes.as_chunks().0.iter().for_each(|entry| statistics.set(*entry));
    Ok(statistics)
}
