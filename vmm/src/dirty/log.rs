//! KVM's dirty log: a bitmap per slot, read without protecting anything, then cleared for exactly the bits that were
//! read (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2; KVM API §4.8, §4.117).
//!
//! Why no write is lost: a bit is set before the page is written to, and cleared (and the page protected again)
//! before the engine copies the page. A write before the clear is in the copy; one after it sets the bit anew.

use std::sync::{Mutex, MutexGuard, PoisonError};

use godwit_migration::{
    host::{DirtySource, HostError},
    page::PageSet,
};
use kvm_bindings::{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE};
use kvm_ioctls::VmFd;

use super::{Slots, slots::Slot};
use crate::kvm::{KvmError, sys};

/// Pages of one KVM_CLEAR_DIRTY_LOG: 256 MiB of guest memory. KVM holds its MMU lock for the length of a call, and
/// every vCPU that faults meanwhile waits.
const CLEAR_PAGES: u32 = 65_536;
const WORD_PAGES: u32 = u64::BITS;

/// Dirty tracking by KVM's dirty log.
pub(crate) struct KvmDirtyLog {
    slots: Slots,
    /// Room for the bitmap of the largest slot while tracking, else empty.
    bitmap: Mutex<Vec<u64>>,
}

impl KvmDirtyLog {
    /// Prepares the VM: reading its log will not clear it. Before the first slot logs.
    pub(crate) fn prepare(vm: &VmFd) -> Result<(), KvmError> {
        let offered = vm.check_extension_raw(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.into());
        if offered & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE as i32 == 0 {
            return Err(KvmError::Missing("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"));
        }
        let flags = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE.into();
        sys::enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, flags)
            .map_err(KvmError::io("KVM_ENABLE_CAP of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"))
    }

    /// Tracks the pages of `slots`, whose VM was prepared.
    pub(crate) fn new(slots: Slots) -> Self {
        Self { slots, bitmap: Mutex::new(Vec::new()) }
    }

    /// The bitmap, which holds nothing between two calls and so cannot be left in a bad state.
    fn bitmap(&self) -> MutexGuard<'_, Vec<u64>> {
        self.bitmap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the log of `slot` into the first words of `bitmap`.
    fn read<'a>(&self, slot: &Slot, bitmap: &'a mut [u64]) -> Result<&'a [u64], HostError> {
        let words = slot.pages.div_ceil(WORD_PAGES) as usize;
        let Some(bitmap) = bitmap.get_mut(..words) else {
            return Err(HostError("dirty pages were asked for while tracking is off".into()));
        };
        sys::get_dirty_log(self.slots.vm(), slot.number(), slot.pages, bitmap)
            .map_err(|e| HostError(format!("KVM_GET_DIRTY_LOG failed: {e}")))?;
        Ok(bitmap)
    }

    /// Clears the bits of `bitmap` in the log of `slot`, chunk by chunk, leaving out chunks without any.
    fn clear(&self, slot: &Slot, bitmap: &[u64]) -> Result<(), HostError> {
        let chunks = bitmap.chunks((CLEAR_PAGES / WORD_PAGES) as usize);
        for (first, chunk) in (0..slot.pages).step_by(CLEAR_PAGES as usize).zip(chunks) {
            if chunk.iter().any(|&word| word != 0) {
                let pages = (slot.pages - first).min(CLEAR_PAGES);
                sys::clear_dirty_log(self.slots.vm(), slot.number(), first, pages, chunk)
                    .map_err(|e| HostError(format!("KVM_CLEAR_DIRTY_LOG failed: {e}")))?;
            }
        }
        Ok(())
    }
}

impl DirtySource for KvmDirtyLog {
    fn name(&self) -> &'static str {
        "kvm-log"
    }

    fn begin(&self) -> Result<(), HostError> {
        self.slots.forget_own_writes();
        *self.bitmap() = vec![0; self.slots.most_pages().div_ceil(WORD_PAGES) as usize];
        self.slots.log_writes(true)
    }

    fn harvest(&self, dirty: &mut PageSet) -> Result<(), HostError> {
        let mut bitmap = self.bitmap();
        for slot in self.slots.iter() {
            let found = self.read(slot, &mut bitmap)?;
            dirty.union_words(slot.first, found);
            self.clear(slot, found)?;
        }
        self.slots.take_own_writes(dirty);
        Ok(())
    }

    fn peek(&self, dirty: &mut PageSet) -> Result<(), HostError> {
        let mut bitmap = self.bitmap();
        for slot in self.slots.iter() {
            dirty.union_words(slot.first, self.read(slot, &mut bitmap)?);
        }
        self.slots.peek_own_writes(dirty);
        Ok(())
    }

    fn end(&self) -> Result<(), HostError> {
        *self.bitmap() = Vec::new();
        self.slots.log_writes(false)
    }
}
