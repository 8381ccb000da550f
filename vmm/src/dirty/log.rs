//! KVM's dirty log: a bitmap per slot, read without protecting anything, then cleared for exactly the bits that were
//! read (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2; KVM API §4.8, §4.117).
//!
//! Why no write is lost: a bit is set before the page is written to, and cleared (and the page protected again)
//! before the engine copies the page. A write before the clear is in the copy; one after it sets the bit anew.
//!
//! Pages that are armed as they are sent: the log begins with every bit set and nothing protected, and to arm a page is to
//! clear its bit, for the same reason just before the copy.

use std::{
    io,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use godwit_migration::{
    host::{DirtySource, HostError},
    page::PageSet,
};
use kvm_bindings::{
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_INITIALLY_SET, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
};
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
    /// Whether KVM can begin with all pages in the log and protect each as it is cleared.
    initially_set: bool,
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
        Self::logs_from(vm, false)
            .map_err(KvmError::io("KVM_ENABLE_CAP of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"))
    }

    /// What is in a log when it is switched on: all pages, none of them protected (KVM_DIRTY_LOG_INITIALLY_SET, Linux 5.7),
    /// or none.
    fn logs_from(vm: &VmFd, all: bool) -> io::Result<()> {
        let all = if all { KVM_DIRTY_LOG_INITIALLY_SET } else { 0 };
        let flags = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | all;
        sys::enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, flags.into())
    }

    /// Switches the log on.
    fn log(&self, from_all: bool) -> Result<(), HostError> {
        Self::logs_from(self.slots.vm(), from_all)
            .map_err(|e| HostError(format!("KVM cannot switch what its dirty log begins with: {e}")))?;
        self.slots.forget_own_writes();
        *self.bitmap() = vec![0; self.slots.most_pages().div_ceil(WORD_PAGES) as usize];
        self.slots.log_writes(true)
    }

    /// Tracks the pages of `slots`, whose VM was prepared.
    pub(crate) fn new(slots: Slots) -> Self {
        let offered = slots.vm().check_extension_raw(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.into());
        let initially_set = offered & KVM_DIRTY_LOG_INITIALLY_SET as i32 != 0;
        Self { slots, initially_set, bitmap: Mutex::new(Vec::new()) }
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

    /// Clears the bits of `bitmap`, for the pages of `slot` in that range, in its log, chunk by chunk, leaving out chunks
    /// without any.
    fn clear(&self, slot: &Slot, from: u32, to: u32, bitmap: &[u64]) -> Result<(), HostError> {
        let chunks = bitmap.chunks((CLEAR_PAGES / WORD_PAGES) as usize);
        for (first, chunk) in (from..to).step_by(CLEAR_PAGES as usize).zip(chunks) {
            if chunk.iter().any(|&word| word != 0) {
                let pages = (to - first).min(CLEAR_PAGES);
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
        self.log(false)
    }

    fn begin_unarmed(&self) -> Result<bool, HostError> {
        self.log(self.initially_set)?;
        Ok(self.initially_set)
    }

    fn arm(&self, pages: &PageSet, range: Range<u32>) -> Result<(), HostError> {
        for slot in self.slots.iter() {
            let (from, to) = (range.start.max(slot.first), range.end.min(slot.first + slot.pages));
            let words = (from / WORD_PAGES) as usize..to.div_ceil(WORD_PAGES) as usize;
            if let Some(words) = pages.words().get(words).filter(|_| from < to) {
                self.clear(slot, from - slot.first, to - slot.first, words)?;
            }
        }
        Ok(())
    }

    fn harvest(&self, dirty: &mut PageSet) -> Result<(), HostError> {
        let mut bitmap = self.bitmap();
        for slot in self.slots.iter() {
            let found = self.read(slot, &mut bitmap)?;
            dirty.union_words(slot.first, found);
            self.clear(slot, 0, slot.pages, found)?;
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
