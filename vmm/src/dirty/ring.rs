//! KVM's dirty rings: each vCPU lists the pages that it writes in a ring shared with this process (KVM API §8.29).
//!
//! An entry goes empty → dirty (by KVM) → collected (by us) → empty (by KVM_RESET_DIRTY_RINGS, which protects its
//! page again, before the engine copies it). A vCPU whose ring is full leaves the guest; its thread calls
//! [`KvmDirtyRing::relieve`], which empties the rings into `pending`, and carries on.
//!
//! `pending` is also the one lock under which rings are read, so that an entry is collected once.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use godwit_migration::{
    host::{DirtySource, HostError},
    page::PageSet,
};
use kvm_ioctls::{VcpuFd, VmFd};

use super::Slots;
use crate::kvm::{
    KvmError,
    sys::{self, RingMapping},
};

/// Bytes of a ring: 8,192 entries. A guest that dirties 50,000 pages a second fills it in a sixth of a second.
const RING_BYTES: u32 = 128 << 10;
/// Words of an entry: flags, slot, low and high half of the page's number in the slot.
const ENTRY_WORDS: usize = 4;
const DIRTY: u32 = 1;
const COLLECTED: u32 = 2;

/// A vCPU's ring, and the entry that it fills next.
struct Ring {
    mapping: RingMapping,
    next: usize,
    /// Entries from `next` on that have been counted.
    ahead: usize,
    /// Pages that its vCPU has dirtied, each once between two harvests, and those of them since the last one. KVM lists a
    /// page again and again where it writes for the guest: accessed bits, emulated instructions.
    counted: u64,
    seen: Option<PageSet>,
}

/// What was collected and not harvested yet.
struct Pending {
    rings: Vec<Ring>,
    /// `None` while tracking is off.
    pages: Option<PageSet>,
}

/// Dirty tracking by KVM's dirty rings.
pub(crate) struct KvmDirtyRing {
    slots: Slots,
    pending: Mutex<Pending>,
}

impl KvmDirtyRing {
    /// Prepares the VM: every vCPU made from now on has a ring. How many bytes each has.
    pub(crate) fn prepare(vm: &VmFd) -> Result<usize, KvmError> {
        let (cap, most) = sys::dirty_ring_cap(vm).ok_or(KvmError::Missing("KVM_CAP_DIRTY_LOG_RING"))?;
        let bytes = RING_BYTES.min(most);
        sys::enable_cap(vm, cap, bytes.into())
            .map_err(KvmError::io("KVM_ENABLE_CAP of KVM_CAP_DIRTY_LOG_RING"))?;
        Ok(bytes as usize)
    }

    /// Tracks the pages of `slots` by the rings of `vcpus`, all of which were made after the VM was prepared.
    pub(crate) fn new(slots: Slots, vcpus: &[VcpuFd], ring_bytes: usize) -> Result<Self, KvmError> {
        let rings = vcpus.iter().map(|vcpu| {
            Ok(Ring {
                mapping: RingMapping::new(vcpu, ring_bytes)?,
                next: 0,
                ahead: 0,
                counted: 0,
                seen: None,
            })
        });
        let rings = rings.collect::<Result<_, _>>().map_err(KvmError::io("mapping a dirty ring"))?;
        Ok(Self { slots, pending: Mutex::new(Pending { rings, pages: None }) })
    }

    /// For a vCPU whose ring is full: empties the rings.
    pub(crate) fn relieve(&self) -> Result<(), HostError> {
        self.collect(&mut self.pending())
    }

    /// Pages that vCPU `id` has dirtied since the rings were made, while tracking was on; a page counts anew after each
    /// harvest.
    pub(crate) fn dirtied(&self, id: u8) -> u64 {
        let mut pending = self.pending();
        pending.rings.get_mut(usize::from(id)).map_or(0, |ring| ring.count(&self.slots))
    }

    /// What was collected is whole between any two statements, so a panic elsewhere leaves nothing half done.
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what the rings hold into `pending`, and lets KVM protect and reuse the entries.
    fn collect(&self, pending: &mut Pending) -> Result<(), HostError> {
        let Pending { rings, pages } = pending;
        let mut collected = 0;
        for ring in rings {
            while let Some((slot, page)) = ring.take() {
                collected += 1;
                if let (Some(page), Some(pages)) = (number_of(&self.slots, slot, page), pages.as_mut()) {
                    pages.insert(page);
                    ring.note(page);
                }
            }
        }
        if collected > 0 {
            sys::reset_dirty_rings(self.slots.vm())
                .map_err(|e| HostError(format!("KVM_RESET_DIRTY_RINGS failed: {e}")))?;
        }
        Ok(())
    }
}

/// The guest's number of a page of a slot, if there is one.
fn number_of(slots: &Slots, slot: u32, page: u64) -> Option<u32> {
    let slot = slots.iter().find(|s| s.number() == slot && page < u64::from(s.pages))?;
    Some(slot.first + page as u32)
}

impl Ring {
    /// Takes the next dirty entry: its slot and the page's number there.
    fn take(&mut self) -> Option<(u32, u64)> {
        let (flags, entry) = self.entry(self.next)?;
        flags.store(COLLECTED, Ordering::Release);
        self.next = (self.next + 1) % self.entries();
        self.ahead = self.ahead.saturating_sub(1);
        Some(entry)
    }

    fn entries(&self) -> usize {
        self.mapping.words().len() / ENTRY_WORDS
    }

    /// The entry at `index`, if KVM has filled it, with its flags.
    fn entry(&self, index: usize) -> Option<(&AtomicU32, (u32, u64))> {
        let [flags, slot, low, high] = self.mapping.words().get(index * ENTRY_WORDS..)?.first_chunk()?;
        // Acquire pairs with the release of KVM's own write of the flags, after slot and page.
        if flags.load(Ordering::Acquire) & DIRTY == 0 {
            return None;
        }
        let half = |word: &AtomicU32| u64::from(word.load(Ordering::Relaxed));
        // The upper half of the slot is the address space: 1 is system-management mode, with the same memory.
        Some((flags, (slot.load(Ordering::Relaxed) & 0xffff, half(low) | half(high) << 32)))
    }

    /// Counts a page, once between two harvests.
    fn note(&mut self, page: u32) {
        if let Some(seen) = self.seen.as_mut().filter(|seen| !seen.contains(page)) {
            seen.insert(page);
            self.counted += 1;
        }
    }

    /// Counts what was filled since the last time.
    fn count(&mut self, slots: &Slots) -> u64 {
        while self.ahead < self.entries()
            && let Some((_, (slot, page))) = self.entry((self.next + self.ahead) % self.entries())
        {
            self.ahead += 1;
            if let Some(page) = number_of(slots, slot, page) {
                self.note(page);
            }
        }
        self.counted
    }

    /// The entries that a harvest would take.
    fn filled(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        (0..self.entries())
            .map_while(|ahead| self.entry((self.next + ahead) % self.entries()))
            .map(|(_, e)| e)
    }
}

impl DirtySource for KvmDirtyRing {
    fn name(&self) -> &'static str {
        "kvm-ring"
    }

    fn begin(&self) -> Result<(), HostError> {
        let mut pending = self.pending();
        self.slots.forget_own_writes();
        self.collect(&mut pending)?;
        let none = PageSet::empty(self.slots.iter().map(|slot| slot.pages).sum());
        pending.rings.iter_mut().for_each(|ring| ring.seen = Some(none.clone()));
        pending.pages = Some(none);
        self.slots.log_writes(true)
    }

    fn harvest(&self, dirty: &mut PageSet) -> Result<(), HostError> {
        let mut pending = self.pending();
        self.collect(&mut pending)?;
        let Some(pages) = &mut pending.pages else {
            return Err(HostError("dirty pages were asked for while tracking is off".into()));
        };
        dirty.union(pages);
        pages.clear();
        pending.rings.iter_mut().filter_map(|ring| ring.seen.as_mut()).for_each(PageSet::clear);
        self.slots.take_own_writes(dirty);
        Ok(())
    }

    fn peek(&self, dirty: &mut PageSet) -> Result<(), HostError> {
        let pending = self.pending();
        let Some(pages) = &pending.pages else {
            return Err(HostError("dirty pages were asked for while tracking is off".into()));
        };
        dirty.union(pages);
        for (slot, page) in pending.rings.iter().flat_map(Ring::filled) {
            if let Some(page) = number_of(&self.slots, slot, page) {
                dirty.insert(page);
            }
        }
        self.slots.peek_own_writes(dirty);
        Ok(())
    }

    fn end(&self) -> Result<(), HostError> {
        self.slots.log_writes(false)?;
        let mut pending = self.pending();
        pending.pages = None;
        pending.rings.iter_mut().for_each(|ring| ring.seen = None);
        self.collect(&mut pending)
    }
}
