//! The devices of a machine: serial port, i8042 reset, CMOS clock, power, debug and panic ports, generation, and virtio
//! over memory-mapped registers with its devices.
//!
//! Every device saves and restores with typed, versioned state (`godwit-state`); [`KINDS`] lists them all. This crate
//! never knows KVM, the migration engine or its sockets: interrupts leave through eventfds ([`Irq`]), notifications
//! arrive through eventfds, and a device that wants the run to end says so on a [`StopLine`].
//!
//! How a machine uses it:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use event_manager::{EventManager, MutEventSubscriber, SubscriberOps};
//! use godwit_devices::{serial, virtio, *};
//! use vm_memory::GuestAddress;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 1 << 20)])?;
//! let stop = StopLine::new()?;
//! let (com1_irq, rng_irq) = (Irq::new()?, Irq::new()?);
//! // To KVM: com1_irq.event() as irqfd of GSI serial::COM1_GSI; all lines are edge-triggered, active-high.
//!
//! let com1 = Serial::new("com1", com1_irq, &"null".parse()?, stop.clone())?;
//! let com1 = Arc::new(Mutex::new(com1));
//! let rng = virtio::VirtioMmio::new("rng0", virtio::Rng::new(), memory, rng_irq)?;
//! // To KVM: each of rng.notifiers() as ioeventfd at base + virtio::NOTIFY_OFFSET, 4 bytes, value = index.
//! let rng = Arc::new(Mutex::new(rng));
//!
//! let (mut ports, mut mmio) = (PioBus::default(), MmioBus::default());
//! ports.insert(serial::COM1_BASE, serial::SERIAL_PORT_COUNT, com1.clone())?;
//! mmio.insert(0xd000_0000, virtio::MMIO_WINDOW_BYTES, rng.clone())?;
//!
//! // One thread runs this for ever; it serves input and queues.
//! let mut events = EventManager::<Box<dyn MutEventSubscriber + Send>>::new()?;
//! events.add_subscriber(Box::new(com1.clone()));
//! events.add_subscriber(Box::new(rng.clone()));
//!
//! let devices: Vec<Shared<dyn Device>> = vec![com1, rng];
//! let each = || devices.iter().map(|device| device.lock().unwrap());
//! each().for_each(|mut device| device.resume()); // devices are made paused
//! ports.write(serial::COM1_BASE, b"H"); // what a vCPU thread does on an exit, looking at stop.asked() afterwards
//!
//! // To save: vCPUs stand still, then all devices, then their sections and the last dirty pages are taken.
//! each().for_each(|mut device| device.pause());
//! let sections = each().map(|device| device.save_section()).collect::<Result<Vec<_>, _>>()?;
//! # assert_eq!(sections.len(), 2);
//! # Ok(())
//! # }
//! ```

mod bus;
#[cfg(test)]
mod bus_test;
mod debug_exit;
#[cfg(test)]
mod debug_exit_test;
mod device;
#[cfg(test)]
mod fuzz_test;
mod generation;
#[cfg(test)]
mod generation_test;
mod i8042;
#[cfg(test)]
mod i8042_test;
mod irq;
pub mod options;
#[cfg(test)]
mod options_test;
mod power;
#[cfg(test)]
mod power_test;
mod pvpanic;
#[cfg(test)]
mod pvpanic_test;
pub mod rate_limiter;
mod registry;
#[cfg(test)]
mod registry_test;
mod rtc;
pub mod serial;
mod stop;
mod sys;
mod unix_listener;
pub mod virtio;

pub use bus::{BusError, MmioBus, PioBus};
pub use debug_exit::{DEBUG_EXIT_PORT, DEBUG_EXIT_PORT_COUNT, DebugExit, DebugExitState};
pub use device::{BytePorts, Counters, Device, Lifecycle, MmioDevice, PioDevice, Shared};
pub use generation::{GENERATION_BYTES, Generation, GenerationError, GenerationState};
pub use i8042::{I8042, I8042_BASE, I8042_PORT_COUNT, I8042State};
pub use irq::Irq;
pub use power::{
    GED_EVENT_PORT, GED_GENERATION, GED_GSI, GED_POWER_BUTTON, POWER_BASE, POWER_PORT_COUNT, Power,
    PowerState, RESET_PORT, RESET_VALUE, S5_SLP_TYP, SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT,
};
pub use pvpanic::{GuestPanic, PVPANIC_PORT, PVPANIC_PORT_COUNT, Pvpanic, PvpanicState};
pub use registry::{KINDS, Kind};
pub use rtc::{RTC_BASE, RTC_CENTURY_INDEX, RTC_PORT_COUNT, Rtc, RtcState, WallClock};
pub use serial::{Serial, SerialBackend};
pub use stop::{Stop, StopLine};

/// Guest memory, with a bitmap of the pages that the VMM itself has written: KVM does not see those writes.
pub type GuestMemory = vm_memory::GuestMemoryMmap<vm_memory::bitmap::AtomicBitmap>;
