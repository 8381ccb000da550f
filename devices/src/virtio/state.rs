//! What is saved of a virtio device: the transport's registers, its queues, and the device's own.

use godwit_state::{Schema, Section, StateError};
use serde::{Deserialize, Serialize};

/// Version of [`TransportState`]'s encoding; counts hundreds in [`VirtioState`]'s version.
const TRANSPORT_VERSION: u16 = 1;

/// Transport and device in one section of the device's kind. Its version is that of the transport's part times 100
/// plus the device's, so that either can change.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct VirtioState<S> {
    /// Registers and queues.
    pub transport: TransportState,
    /// The device's own.
    pub device: S,
}

impl<S: Schema> Schema for VirtioState<S> {
    const KIND: &'static str = S::KIND;
    const VERSION: u16 = TRANSPORT_VERSION * 100 + S::VERSION;
    /// There has been one version of the transport's part.
    const OLDEST: u16 = TRANSPORT_VERSION * 100 + S::OLDEST;

    fn upgrade(section: &Section) -> Result<Self, StateError> {
        let (transport, mut device) = section.decode_first()?;
        device.version -= TRANSPORT_VERSION * 100;
        Ok(Self { transport, device: device.open()? })
    }
}

/// Registers of the transport, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct TransportState {
    /// Device status.
    pub status: u32,
    /// Which half of the device's features is shown.
    pub device_features_select: u32,
    /// Which half of the driver's features is written.
    pub driver_features_select: u32,
    /// Features as the driver wrote them.
    pub driver_features: u64,
    /// Which queue the queue registers are of.
    pub queue_select: u32,
    /// Causes of interrupts that the driver has not acknowledged.
    pub interrupt_status: u32,
    /// The queues by index.
    pub queues: Vec<QueueState>,
}

/// A queue, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    /// Number of descriptors as the driver wrote it.
    pub size: u32,
    /// Guest-physical address of the descriptor table.
    pub desc: u64,
    /// Guest-physical address of the driver area, the available ring.
    pub driver: u64,
    /// Guest-physical address of the device area, the used ring.
    pub device: u64,
    /// Declared ready.
    pub ready: bool,
    /// Next position in the available ring.
    pub next_avail: u16,
    /// Next position in the used ring.
    pub next_used: u16,
}
