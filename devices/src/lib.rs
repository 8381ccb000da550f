//! Serial, i8042, RTC, power and debug ports, virtio-mmio and its devices.
