//! The devices, in AML: serial port, clock, power button and generation with their event device, virtio-mmio windows, the
//! port for panics, soft off.

use acpi_tables::Aml;
use acpi_tables::aml::{
    And, Device, EISAName, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, IO, If,
    Interrupt, Local, Memory32Fixed, Method, Name, Notify, ONE, OpRegion, OpRegionSpace, Package, Path,
    ResourceTemplate, Scope, Store, ZERO,
};
use acpi_tables::sdt::Sdt;
use godwit_devices::serial::{COM1_BASE, COM1_GSI, SERIAL_PORT_COUNT};
use godwit_devices::{
    GED_EVENT_PORT, GED_GENERATION, GED_GSI, GED_POWER_BUTTON, PVPANIC_PORT, PVPANIC_PORT_COUNT, RTC_BASE,
    RTC_PORT_COUNT, S5_SLP_TYP,
};
use vm_memory::Address;

use crate::boot::layout::GENERATION;

use super::{AcpiError, Attached, MmioDevice, OEM_ID, OEM_REVISION, OEM_TABLE_ID, encode};

/// Size of a table header, which an empty table consists of.
const HEADER_BYTES: u32 = 36;
/// Revision 2 and above: integers have 64 bits.
const REVISION: u8 = 2;
/// `Notify` code of a pressed button (ACPI 6.5 §4.8.3.2.2).
const BUTTON_PRESSED: u8 = 0x80;

/// `Notify` code of a changed generation.
const GENERATION_CHANGED: u8 = 0x80;

/// The table for a machine with what is `attached`.
pub(super) fn bytes(attached: Attached<'_>) -> Result<Vec<u8>, AcpiError> {
    let windows: Vec<VirtioMmio> = attached
        .windows
        .iter()
        .enumerate()
        .map(|(index, window)| VirtioMmio::new(index, window))
        .collect::<Result<_, _>>()?;
    let mut devices: Vec<&dyn Aml> = vec![&SerialPort, &Clock, &Events];
    if attached.pvpanic {
        devices.push(&PanicPort);
    }
    devices.extend(windows.iter().map(|window| window as &dyn Aml));
    let soft_off = Package::new(vec![&S5_SLP_TYP, &ZERO, &ZERO, &ZERO]);

    let mut table = Sdt::new(*b"DSDT", HEADER_BYTES, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&encode(&Scope::new("_SB_".into(), devices)));
    table.append_slice(&encode(&Name::new("_S5_".into(), &soft_off)));
    Ok(table.as_slice().to_vec())
}

/// All interrupts here are edge-triggered, active-high and exclusive: what an eventfd can raise in KVM.
fn edge(gsi: u32) -> Interrupt {
    Interrupt::new(true, true, false, false, gsi)
}

fn ports(base: u16, count: u16) -> IO {
    // No device of ours has more than 255 ports.
    IO::new(base, base, 1, count as u8)
}

fn resources(resources: Vec<&dyn Aml>) -> Name {
    Name::new("_CRS".into(), &ResourceTemplate::new(resources))
}

/// COM1, a 16550A.
struct SerialPort;

impl Aml for SerialPort {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        Device::new(
            "COM1".into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0501")),
                &Name::new("_UID".into(), &ZERO),
                &resources(vec![&ports(COM1_BASE, SERIAL_PORT_COUNT), &edge(COM1_GSI)]),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// The CMOS clock, without its alarm.
struct Clock;

impl Aml for Clock {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        Device::new(
            "RTC_".into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0B00")),
                &resources(vec![&ports(RTC_BASE, RTC_PORT_COUNT)]),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// The power button, the generation, and the generic event device (ACPI 6.5 §5.6.9) that tells of both.
struct Events;

impl Aml for Events {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        Device::new("PWRB".into(), vec![&Name::new("_HID".into(), &EISAName::new("PNP0C0C"))])
            .to_aml_bytes(sink);
        let (low, high) = (GENERATION.raw_value() as u32, 0_u32);
        Device::new(
            "VGEN".into(),
            vec![
                &Name::new("_HID".into(), &"QEMUVGID"),
                &Name::new("_CID".into(), &"VM_Gen_Counter"),
                &Name::new("_DDN".into(), &"VM_Gen_Counter"),
                &Name::new("ADDR".into(), &Package::new(vec![&low, &high])),
            ],
        )
        .to_aml_bytes(sink);

        let events = Field::new(
            "EVRG".into(),
            FieldAccessType::Byte,
            FieldLockRule::NoLock,
            FieldUpdateRule::WriteAsZeroes,
            vec![FieldEntry::Named(*b"EVNT", 8)],
        );
        let (event, button, generation) = (Path::new("EVNT"), Path::new("PWRB"), Path::new("VGEN"));
        // Reading clears the register, so it is read once.
        let read = Store::new(&Local(0), &event);
        let pressed = And::new(&ZERO, &Local(0), &GED_POWER_BUTTON);
        let press = Notify::new(&button, &BUTTON_PRESSED);
        let changed = And::new(&ZERO, &Local(0), &GED_GENERATION);
        let change = Notify::new(&generation, &GENERATION_CHANGED);
        let each = [If::new(&pressed, vec![&press]), If::new(&changed, vec![&change])];
        Device::new(
            "GED_".into(),
            vec![
                &Name::new("_HID".into(), &"ACPI0013"),
                &resources(vec![&edge(GED_GSI)]),
                &OpRegion::new("EVRG".into(), OpRegionSpace::SystemIO, &GED_EVENT_PORT, &ONE),
                &events,
                &Method::new("_EVT".into(), 1, true, vec![&read, &each[0], &each[1]]),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// The port by which a guest tells of its panic.
struct PanicPort;

impl Aml for PanicPort {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        Device::new(
            "PEVT".into(),
            vec![
                &Name::new("_HID".into(), &"QEMU0001"),
                &resources(vec![&ports(PVPANIC_PORT, PVPANIC_PORT_COUNT)]),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// One virtio-mmio window, with the id that Linux's driver knows.
struct VirtioMmio {
    index: u32,
    base: u32,
    size: u32,
    gsi: u32,
}

impl VirtioMmio {
    fn new(index: usize, window: &MmioDevice) -> Result<Self, AcpiError> {
        let too_high = || AcpiError::WindowTooHigh { base: window.base, size: window.size };
        let end = window.base.checked_add(window.size).ok_or_else(too_high)?;
        if end > 1 << 32 {
            return Err(too_high());
        }
        // Both are below 4 GiB now, and so is the number of windows.
        Ok(Self { index: index as u32, base: window.base as u32, size: window.size as u32, gsi: window.gsi })
    }
}

impl Aml for VirtioMmio {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        Device::new(
            format!("V{:03X}", self.index & 0xfff).as_str().into(),
            vec![
                &Name::new("_HID".into(), &"LNRO0005"),
                &Name::new("_UID".into(), &self.index),
                &resources(vec![&Memory32Fixed::new(true, self.base, self.size), &edge(self.gsi)]),
            ],
        )
        .to_aml_bytes(sink);
    }
}
