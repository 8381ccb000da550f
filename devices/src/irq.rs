//! An interrupt line from a device to the guest's interrupt controller.
//!
//! Every line is **edge-triggered, active-high, exclusive**, and the ACPI tables must declare it so: raising is
//! writing 1 to an eventfd that the machine registers as a KVM irqfd without resampling, which is one low-high-low
//! pulse. A device keeps the cause of an interrupt in its own registers until the driver acknowledges it, so an edge
//! lost between save and restore is made good by raising again in [`crate::Lifecycle::resume`].
//! This module never knows which GSI a line is; the machine does.

use std::{convert::Infallible, io, sync::Arc};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// An edge-triggered interrupt line. Clones are the same line.
#[derive(Clone, Debug)]
pub struct Irq(Arc<EventFd>);

impl Irq {
    /// Makes a line that is not connected yet.
    ///
    /// # Errors
    /// Those of eventfd(2): out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map(|event| Self(Arc::new(event)))
    }

    /// The eventfd to register as irqfd.
    #[must_use]
    pub fn event(&self) -> &EventFd {
        &self.0
    }

    /// Sends one edge.
    pub fn raise(&self) {
        // The only error is a counter that is full: then an edge is pending already, which is what was wanted.
        let _ = self.0.write(1);
    }
}

impl vm_superio::Trigger for Irq {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        self.raise();
        Ok(())
    }
}
