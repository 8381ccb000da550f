//! Numbers that cannot be are refused, with the nearest that can.

use crate::{
    boot::Kernel,
    config::{ConfigError, DirtyKind, MachineConfig, SerialConfig},
    device_set::DeviceSet,
};

fn config(memory_bytes: u64, cpus: u8) -> MachineConfig {
    MachineConfig {
        kernel: Kernel::Builtin(&[]),
        initrd: None,
        cmdline: String::new(),
        memory_bytes,
        cpus,
        serial: SerialConfig::Null,
        dirty: DirtyKind::Log,
        devices: DeviceSet::default(),
    }
}

#[test]
fn sensible_numbers_pass() {
    for (memory, cpus) in [(32 << 20, 1), (128 << 20, 16), (8 << 30, 2), (4 << 40, 1)] {
        assert_eq!(config(memory, cpus).check(), Ok(()));
    }
}

#[test]
fn memory_has_limits_and_a_step() {
    assert_eq!(config((32 << 20) - 1, 1).check(), Err(ConfigError::MemoryTooSmall((32 << 20) - 1)));
    assert_eq!(config(u64::MAX, 1).check(), Err(ConfigError::MemoryTooLarge(u64::MAX)));
    let error = config((33 << 20) + 5, 1).check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "34603013 bytes of memory are not a multiple of 2 MiB; the nearest is 34 MiB"
    );
}

#[test]
fn there_are_1_to_16_vcpus() {
    assert_eq!(config(64 << 20, 0).check(), Err(ConfigError::Cpus(0)));
    let error = config(64 << 20, 17).check().unwrap_err();
    assert_eq!(error.to_string(), "17 vCPUs cannot be; a guest has 1 to 16");
}
