//! The register layout of virtio-mmio (virtio 1.2 §4.2.2, the modern layout, version 2) and its bits.

/// Bytes of guest-physical address space that a device takes.
pub const MMIO_WINDOW_BYTES: u64 = 0x1000;
/// Offset of the queue-notify register, for an ioeventfd of 4 bytes whose value is the queue's index.
pub const NOTIFY_OFFSET: u64 = QUEUE_NOTIFY;

/// "virt".
pub(super) const MAGIC: u32 = 0x7472_6976;
/// The modern layout.
pub(super) const VERSION: u32 = 2;
/// "gdwt": any value does; Linux shows it.
pub(super) const VENDOR: u32 = 0x7477_6467;
/// What the registers of a shared-memory region say that is not there.
pub(super) const NO_SHARED_MEMORY: u32 = u32::MAX;

pub(super) const MAGIC_VALUE: u64 = 0x00;
pub(super) const LAYOUT_VERSION: u64 = 0x04;
pub(super) const DEVICE_ID: u64 = 0x08;
pub(super) const VENDOR_ID: u64 = 0x0c;
pub(super) const DEVICE_FEATURES: u64 = 0x10;
pub(super) const DEVICE_FEATURES_SELECT: u64 = 0x14;
pub(super) const DRIVER_FEATURES: u64 = 0x20;
pub(super) const DRIVER_FEATURES_SELECT: u64 = 0x24;
pub(super) const QUEUE_SELECT: u64 = 0x30;
pub(super) const QUEUE_SIZE_MAX: u64 = 0x34;
pub(super) const QUEUE_SIZE: u64 = 0x38;
pub(super) const QUEUE_READY: u64 = 0x44;
pub(super) const QUEUE_NOTIFY: u64 = 0x50;
pub(super) const INTERRUPT_STATUS: u64 = 0x60;
pub(super) const INTERRUPT_ACK: u64 = 0x64;
pub(super) const STATUS: u64 = 0x70;
pub(super) const QUEUE_DESC_LOW: u64 = 0x80;
pub(super) const QUEUE_DESC_HIGH: u64 = 0x84;
pub(super) const QUEUE_DRIVER_LOW: u64 = 0x90;
pub(super) const QUEUE_DRIVER_HIGH: u64 = 0x94;
pub(super) const QUEUE_DEVICE_LOW: u64 = 0xa0;
pub(super) const QUEUE_DEVICE_HIGH: u64 = 0xa4;
pub(super) const SHARED_MEMORY_LENGTH_LOW: u64 = 0xb0;
pub(super) const SHARED_MEMORY_BASE_HIGH: u64 = 0xbc;
pub(super) const CONFIG_GENERATION: u64 = 0xfc;
pub(super) const CONFIG: u64 = 0x100;

/// Interrupt status: the device has used a buffer.
pub(super) const INTERRUPT_USED: u32 = 1;
/// Interrupt status: configuration or status has changed.
pub(super) const INTERRUPT_CONFIG: u32 = 2;

/// Device status (§2.1): the guest has seen the device.
pub(super) const ACKNOWLEDGE: u32 = 1;
/// It has a driver for it.
pub(super) const DRIVER: u32 = 2;
/// The driver is ready.
pub(super) const DRIVER_OK: u32 = 4;
/// Both agree on the features.
pub(super) const FEATURES_OK: u32 = 8;
/// The device asks for a reset.
pub(super) const NEEDS_RESET: u32 = 64;
/// The driver has given up.
pub(super) const FAILED: u32 = 128;
/// Every bit that exists.
pub(super) const STATUS_BITS: u32 = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | NEEDS_RESET | FAILED;

/// Features of the rings (§6): descriptors in a table elsewhere.
pub(super) const F_INDIRECT: u64 = 1 << 28;
/// Notifications are suppressed by index, not by flag.
pub(super) const F_EVENT_IDX: u64 = 1 << 29;
/// Not a device from before virtio 1.0.
pub(super) const F_VERSION_1: u64 = 1 << 32;
