//! The tables are linked, have right checksums and lengths, and name every CPU and device.

use vm_memory::{Address, Bytes, GuestAddress};

use super::{AcpiError, Attached, MmioDevice, write_tables};
use crate::boot::GuestMemory;
use crate::boot::layout::{ACPI, GENERATION, VIRTIO_MMIO_BASE, VIRTIO_MMIO_GSIS, VIRTIO_MMIO_SIZE};

fn memory() -> GuestMemory {
    GuestMemory::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap()
}

fn only(windows: &[MmioDevice]) -> Attached<'_> {
    Attached { windows, pvpanic: false }
}

/// As many windows as there can be.
fn windows() -> Vec<MmioDevice> {
    let window = |(n, &gsi)| MmioDevice {
        base: VIRTIO_MMIO_BASE + n as u64 * VIRTIO_MMIO_SIZE,
        size: VIRTIO_MMIO_SIZE,
        gsi,
    };
    VIRTIO_MMIO_GSIS.iter().enumerate().map(window).collect()
}

fn read(memory: &GuestMemory, address: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, b| sum.wrapping_add(*b))
}

/// The table at `address`, its length and checksum proved.
fn table(memory: &GuestMemory, address: u64, signature: &[u8; 4]) -> Vec<u8> {
    let header = read(memory, address, 8);
    assert_eq!(&header[..4], signature);
    let length = u32::from_le_bytes(header[4..].try_into().unwrap());
    assert!(address + u64::from(length) <= ACPI.end);
    let table = read(memory, address, length as usize);
    assert_eq!(sum(&table), 0, "checksum of {signature:?}");
    table
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

/// FADT, MADT and DSDT, found as a guest finds them.
fn tables(cpus: u8, windows: &[MmioDevice]) -> [Vec<u8>; 3] {
    let memory = memory();
    let rsdp = write_tables(&memory, cpus, Attached { windows, pvpanic: true }).unwrap().raw_value();
    assert_eq!(rsdp % 16, 0, "the RSDP is searched at multiples of 16");
    let root = read(&memory, rsdp, 36);
    assert_eq!(&root[..8], b"RSD PTR ");
    assert_eq!((sum(&root[..20]), sum(&root)), (0, 0));
    let xsdt = table(&memory, u64_at(&root, 24), b"XSDT");
    assert_eq!(xsdt.len(), 36 + 2 * 8);
    let fadt = table(&memory, u64_at(&xsdt, 36), b"FACP");
    let madt = table(&memory, u64_at(&xsdt, 44), b"APIC");
    let dsdt = table(&memory, u64_at(&fadt, 140), b"DSDT");
    [fadt, madt, dsdt]
}

fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|w| *w == needle).count()
}

#[test]
fn the_fadt_says_hardware_reduced_and_where_power_off_and_reset_are() {
    let [fadt, ..] = tables(1, &[]);
    let flags = u32::from_le_bytes(fadt[112..116].try_into().unwrap());
    assert_eq!(flags, 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4);
    assert_eq!(fadt[108], godwit_devices::RTC_CENTURY_INDEX);
    let port = |offset: usize| (fadt[offset..offset + 4].to_vec(), u64_at(&fadt, offset + 4));
    let io_byte = vec![1, 8, 0, 1];
    assert_eq!(port(116), (io_byte.clone(), u64::from(godwit_devices::RESET_PORT)));
    assert_eq!(fadt[128], godwit_devices::RESET_VALUE);
    assert_eq!(port(244), (io_byte.clone(), u64::from(godwit_devices::SLEEP_CONTROL_PORT)));
    assert_eq!(port(256), (io_byte, u64::from(godwit_devices::SLEEP_STATUS_PORT)));
}

#[test]
fn the_madt_has_every_cpu_and_the_io_apic() {
    for cpus in [1u8, 2, 3, 16] {
        let [_, madt, _] = tables(cpus, &[]);
        assert_eq!(madt[36..40], 0xfee0_0000u32.to_le_bytes());
        let (local, io) = madt[44..].split_at(8 * usize::from(cpus));
        for (id, entry) in local.chunks(8).enumerate() {
            assert_eq!(entry, [0, 8, id as u8, id as u8, 1, 0, 0, 0]);
        }
        assert_eq!(io, [1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
    }
}

#[test]
fn the_dsdt_has_every_device_with_its_window_and_interrupt() {
    let [.., dsdt] = tables(1, &windows());
    assert_eq!(count(&dsdt, b"LNRO0005\0"), windows().len());
    for window in windows() {
        // Memory32Fixed, read-write; then an extended interrupt: consumer, edge, active-high, exclusive.
        let mut resources = vec![0x86, 9, 0, 1];
        resources.extend((window.base as u32).to_le_bytes());
        resources.extend((window.size as u32).to_le_bytes());
        resources.extend([0x89, 6, 0, 0b0011, 1]);
        resources.extend(window.gsi.to_le_bytes());
        assert_eq!(count(&dsdt, &resources), 1, "{window:x?}");
    }
    for name in [b"COM1", b"RTC_", b"PWRB", b"GED_", b"_S5_"] {
        assert!(count(&dsdt, name) > 0, "{name:?}");
    }
}

#[test]
fn the_dsdt_says_where_the_generation_is_and_how_to_tell_of_a_panic() {
    let [.., dsdt] = tables(1, &[]);
    // A package of two: the low half, and zero.
    let place =
        [b"ADDR\x12\x08\x02\x0c".as_slice(), &(GENERATION.raw_value() as u32).to_le_bytes(), &[0]].concat();
    assert_eq!((count(&dsdt, &place), count(&dsdt, b"VM_Gen_Counter\0")), (1, 2));
    // I/O ports at 0x505, one of them.
    let port = [0x47, 1, 5, 5, 5, 5, 1, 1];
    assert_eq!((count(&dsdt, b"QEMU0001\0"), count(&dsdt, &port)), (1, 1));
    let without = super::dsdt::bytes(only(&[])).unwrap();
    assert_eq!(count(&without, b"QEMU0001"), 0);
    // The event method tells of both.
    for told in [b"\x86PWRB\x0a\x80", b"\x86VGEN\x0a\x80"] {
        assert_eq!(count(&dsdt, told), 1, "{told:?}");
    }
}

#[test]
fn interrupts_of_windows_are_nobody_elses() {
    let mut taken = vec![0, 2, 8, 13, godwit_devices::serial::COM1_GSI, godwit_devices::GED_GSI];
    for gsi in VIRTIO_MMIO_GSIS {
        assert!(gsi < 24 && !taken.contains(&gsi), "GSI {gsi}");
        taken.push(gsi);
    }
}

#[test]
fn a_window_beyond_4_gib_is_refused() {
    for (base, size) in [(1 << 32, 0x1000), (0xffff_f000, 0x2000), (u64::MAX, 0x1000)] {
        let error = write_tables(&memory(), 1, only(&[MmioDevice { base, size, gsi: 5 }])).unwrap_err();
        assert!(matches!(error, AcpiError::WindowTooHigh { .. }), "{error}");
    }
}

#[test]
fn tables_that_do_not_fit_are_refused_and_write_nothing_beyond() {
    let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
    let many = vec![windows()[0]; 4000];
    let error = write_tables(&memory, 16, only(&many)).unwrap_err();
    assert!(matches!(error, AcpiError::TooLarge { .. }), "{error}");
    assert_eq!(read(&memory, GENERATION.raw_value(), 8192), [0; 8192]);
}

#[test]
fn a_guest_without_the_area_is_refused() {
    let small = GuestMemory::from_ranges(&[(GuestAddress(0), 0x8_0000)]).unwrap();
    let error = write_tables(&small, 1, only(&[])).unwrap_err();
    assert!(error.to_string().starts_with("cannot write the ACPI tables into guest memory"), "{error}");
}
