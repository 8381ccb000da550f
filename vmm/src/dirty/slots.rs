//! The guest's memory slots: KVM's name for its regions, with the flag that switches dirty logging.

use std::sync::Arc;

use godwit_migration::{host::HostError, limits::PAGE_BYTES, page::PageSet};
use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, bitmap::AtomicBitmap, mmap::MmapRegion};

use crate::{
    boot::GuestMemory,
    kvm::{KvmError, sys},
};

/// A slot: a region of guest memory and the numbers of its pages.
pub(crate) struct Slot {
    number: u32,
    gpa: u64,
    mapping: Arc<MmapRegion<AtomicBitmap>>,
    /// The guest's number of its first page.
    pub(super) first: u32,
    /// How many pages it has.
    pub(super) pages: u32,
}

/// The slots of a VM. Keeps VM and memory alive.
pub(crate) struct Slots {
    vm: Arc<VmFd>,
    slots: Vec<Slot>,
}

impl Slots {
    /// Gives `memory` to the guest of `vm`, a slot to each region.
    pub(crate) fn register(vm: Arc<VmFd>, memory: &GuestMemory) -> Result<Self, KvmError> {
        let mut slots = Vec::new();
        let mut first = 0;
        for (number, region) in (0_u32..).zip(memory.iter()) {
            let pages = (region.len() / PAGE_BYTES as u64) as u32;
            slots.push(Slot { number, gpa: region.start_addr().0, mapping: region.get_mmap(), first, pages });
            first += pages;
        }
        let slots = Self { vm, slots };
        slots.set_flags(0).map_err(KvmError::io("KVM_SET_USER_MEMORY_REGION"))?;
        Ok(slots)
    }

    /// The VM that they are slots of.
    pub(super) fn vm(&self) -> &VmFd {
        &self.vm
    }

    /// The slots by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Pages of the largest slot.
    pub(super) fn most_pages(&self) -> u32 {
        self.slots.iter().map(|slot| slot.pages).max().unwrap_or(0)
    }

    /// Switches KVM's logging of writes. Once it is on, KVM has write-protected every page.
    pub(super) fn log_writes(&self, on: bool) -> Result<(), HostError> {
        let flags = if on { KVM_MEM_LOG_DIRTY_PAGES } else { 0 };
        self.set_flags(flags).map_err(|e| HostError(format!("KVM cannot switch dirty logging: {e}")))
    }

    fn set_flags(&self, flags: u32) -> std::io::Result<()> {
        for slot in &self.slots {
            let region = kvm_userspace_memory_region {
                slot: slot.number,
                flags,
                guest_phys_addr: slot.gpa,
                memory_size: slot.mapping.size() as u64,
                userspace_addr: slot.mapping.as_ptr() as u64,
            };
            // SAFETY: `self` holds the mapping; whoever drops it has stopped the vCPUs.
            unsafe { sys::set_memory_slot(&self.vm, region)? };
        }
        Ok(())
    }

    /// Adds the pages that the VMM itself wrote since the last time, and forgets them.
    pub(super) fn take_own_writes(&self, into: &mut PageSet) {
        for slot in &self.slots {
            into.union_words(slot.first, &slot.mapping.bitmap().get_and_reset());
        }
    }

    /// Adds the pages that the VMM itself wrote, without forgetting them.
    pub(super) fn peek_own_writes(&self, into: &mut PageSet) {
        for slot in &self.slots {
            into.union_words(slot.first, &slot.mapping.bitmap().clone().get_and_reset());
        }
    }

    /// Forgets what the VMM itself wrote.
    pub(super) fn forget_own_writes(&self) {
        self.slots.iter().for_each(|slot| slot.mapping.bitmap().reset());
    }
}

impl Slot {
    /// Its number in KVM.
    pub(super) fn number(&self) -> u32 {
        self.number
    }
}
