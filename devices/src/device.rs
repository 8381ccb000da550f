//! What every device is to the machine: a thing with a name that can be paused, resumed, saved and restored, and
//! that answers port or memory accesses.
//!
//! A device implements [`Lifecycle`] and [`Save`]; [`Device`], the object-safe face that the machine keeps a list of,
//! follows for free. There is no default for any of it: a device without state says so by an empty, versioned
//! state. Neighbours: [`crate::bus`] finds the device of an address, `godwit-state` says what a section is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use godwit_state::{Save, Schema, Section, StateError};

/// A device shared by the vCPU threads, the event loop and the machine.
pub type Shared<D> = Arc<Mutex<D>>;

/// What a device counts, by name.
pub type Counters = BTreeMap<&'static str, u64>;

/// Name and life of a device.
///
/// A device is made *paused*: it answers port and memory accesses, but takes no input from outside and touches no
/// guest memory. The machine calls `resume` on every device before the first vCPU runs, after a boot as after a
/// restore.
pub trait Lifecycle {
    /// Which one it is: `com1`, `rng0`. Unique in a machine, the same on source and target.
    fn instance(&self) -> &str;

    /// Stops taking input and touching guest memory. When this returns, the saved state is stable as long as no
    /// vCPU runs. Pausing a paused device does nothing.
    fn pause(&mut self);

    /// Takes up work again, including what the guest asked for just before the pause, and raises interrupts whose
    /// cause is still pending. Resuming a running device does no harm: at worst one interrupt too many.
    fn resume(&mut self);

    /// Most entries of each of its virtio queues, by index; empty for a device that has none. What its configuration says
    /// of them before there is a device is the same.
    fn queue_sizes(&self) -> &[u16] {
        &[]
    }

    /// What it has counted since it was made, here: no part of its state. Empty for a device that counts nothing.
    fn counters(&self) -> Counters {
        Counters::new()
    }

    /// Takes hold of what only one machine may use at a time, such as the lock of a disk's image. The machine calls it
    /// on every device before `resume`, whenever it is about to run a guest; taking hold again does nothing.
    ///
    /// # Errors
    /// Why not, in words: who has it.
    fn claim(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Lets go of what `claim` took: the machine has given up its right to run the guest, which will run elsewhere.
    /// Only while paused.
    fn release(&mut self) {}
}

/// Object-safe face of a device for pause, save, restore and resume; implemented for every `Lifecycle + Save`.
pub trait Device: Lifecycle + Send {
    /// Kind of its section ([`Schema::KIND`]).
    fn kind(&self) -> &'static str;

    /// Version of the section that it writes ([`Schema::VERSION`]).
    fn version(&self) -> u16;

    /// Its state as a section named after the instance. Only while paused.
    ///
    /// # Errors
    /// As [`Save::save`] and [`Section::of`].
    fn save_section(&self) -> Result<Section, StateError>;

    /// Takes over the state of `section`. Only on a fresh, paused device.
    ///
    /// # Errors
    /// As [`Section::open`] and [`Save::restore`]; [`StateError::Invalid`] for another instance's section. The
    /// device must not run after an error.
    fn restore_section(&mut self, section: &Section) -> Result<(), StateError>;
}

impl<T: Lifecycle + Save + Send> Device for T {
    fn kind(&self) -> &'static str {
        T::State::KIND
    }

    fn version(&self) -> u16 {
        T::State::VERSION
    }

    fn save_section(&self) -> Result<Section, StateError> {
        Section::of(self.instance(), &self.save()?)
    }

    fn restore_section(&mut self, section: &Section) -> Result<(), StateError> {
        if section.instance != self.instance() {
            let reason = format!("the section handed to it is of '{}'", section.instance);
            return Err(StateError::Invalid { instance: self.instance().into(), reason });
        }
        self.restore(&section.open()?)
    }
}

/// A device on the port-I/O bus. `offset` counts from the base that the device was put at.
pub trait PioDevice: Send {
    /// Fills `data` (1, 2 or 4 bytes, little endian) from the ports at `offset`.
    fn read(&mut self, offset: u16, data: &mut [u8]);

    /// Takes `data` (1, 2 or 4 bytes, little endian) for the ports at `offset`.
    fn write(&mut self, offset: u16, data: &[u8]);
}

/// A device whose ports are single bytes; a wider access is split into its bytes, as on an ISA bus.
pub trait BytePorts: Send {
    /// The byte at `offset`; `0xff` where there is no port.
    fn read_byte(&mut self, offset: u16) -> u8;

    /// Takes a byte for the port at `offset`; ignored where there is none.
    fn write_byte(&mut self, offset: u16, value: u8);
}

impl<T: BytePorts> PioDevice for T {
    fn read(&mut self, offset: u16, data: &mut [u8]) {
        for (port, byte) in (offset..=u16::MAX).zip(data) {
            *byte = self.read_byte(port);
        }
    }

    fn write(&mut self, offset: u16, data: &[u8]) {
        for (port, byte) in (offset..=u16::MAX).zip(data) {
            self.write_byte(port, *byte);
        }
    }
}

/// A device on the memory-mapped bus. `offset` counts from the base that the device was put at.
pub trait MmioDevice: Send {
    /// Fills `data` (1 to 8 bytes, little endian) from `offset`.
    fn read(&mut self, offset: u64, data: &mut [u8]);

    /// Takes `data` (1 to 8 bytes, little endian) for `offset`.
    fn write(&mut self, offset: u64, data: &[u8]);
}
