//! Facts that the boot vCPU settles before the others start, and that nobody changes afterwards.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value in its place from the start (too large for a stack, perhaps), changed once, then shared.
pub struct Settled<T> {
    settled: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is changed by one vCPU (whoever wins `settled` twice is refused) before others see it.
unsafe impl<T: Sync> Sync for Settled<T> {}

impl<T> Settled<T> {
    /// A value that is still to be settled.
    pub const fn new(value: T) -> Self {
        Self { settled: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Settles the value and gives it to read. Only the boot vCPU does so, once, while it is alone.
    pub fn settle(&self, change: impl FnOnce(&mut T)) -> &T {
        assert!(!self.settled.load(Ordering::Acquire));
        // SAFETY: not settled yet, so there is no reader, and the boot vCPU is alone.
        change(unsafe { &mut *self.value.get() });
        self.settled.store(true, Ordering::Release);
        self.get()
    }

    /// The settled value.
    pub fn get(&self) -> &T {
        assert!(self.settled.load(Ordering::Acquire));
        // SAFETY: settled, so nobody changes it any more.
        unsafe { &*self.value.get() }
    }
}
