//! How a device asks for the end of the run: power-off, reset, debug exit, or the user's quit key.
//!
//! It carries the wish and wakes the machine; it never stops a vCPU itself. The first wish wins. Neighbours:
//! [`crate::Power`], [`crate::I8042`], [`crate::DebugExit`] and [`crate::serial`] ask; the machine waits on the
//! event, and vCPU threads look at [`StopLine::asked`] after a port write.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// Why the guest's run shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The guest entered ACPI state S5.
    PowerOff,
    /// The guest pulsed the reset line.
    Reset,
    /// The guest wrote to the debug-exit port.
    DebugExit {
        /// Exit status for the process, odd and so never zero: `(value << 1) | 1`; a process keeps the low 8 bits.
        code: u32,
    },
    /// The user typed the quit keys on the serial console.
    Quit,
}

/// The line on which devices ask for a stop. Clones are the same line.
#[derive(Clone, Debug)]
pub struct StopLine(Arc<Line>);

#[derive(Debug)]
struct Line {
    asked: OnceLock<Stop>,
    panicked: AtomicBool,
    event: EventFd,
}

impl StopLine {
    /// Makes a line on which nothing was asked yet.
    ///
    /// # Errors
    /// Those of eventfd(2): out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        Ok(Self(Arc::new(Line { asked: OnceLock::new(), panicked: AtomicBool::new(false), event })))
    }

    /// Asks for a stop. Only the first wish counts.
    pub fn ask(&self, stop: Stop) {
        if self.0.asked.set(stop).is_ok() {
            // Cannot fail: this is the only write ever made to the counter.
            let _ = self.0.event.write(1);
        }
    }

    /// What was asked for, if anything. One atomic load: cheap enough after every exit of a vCPU.
    #[must_use]
    pub fn asked(&self) -> Option<Stop> {
        self.0.asked.get().copied()
    }

    /// The guest has told that it panicked: however its run ends, that is why. It is no wish for the end.
    pub fn report_panic(&self) {
        self.0.panicked.store(true, Ordering::Release);
    }

    /// Whether the guest has told that it panicked.
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.0.panicked.load(Ordering::Acquire)
    }

    /// Becomes readable, and stays so until read, when a stop was asked for.
    #[must_use]
    pub fn event(&self) -> &EventFd {
        &self.0.event
    }
}
