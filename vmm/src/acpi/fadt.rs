//! The fixed description table: where power off and reset are (ACPI 6.5 §5.2.9).

use acpi_tables::fadt::{FADT, FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use godwit_devices::{RESET_PORT, RESET_VALUE, RTC_CENTURY_INDEX, SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT};

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};

/// `IAPC_BOOT_ARCH`: there is no VGA. Bit 1 stays clear, so that Linux does not probe for a keyboard controller: ours
/// is there for reset only. Bit 5 stays clear too: there is a CMOS clock.
const VGA_NOT_PRESENT: u16 = 1 << 2;

/// The table, for the DSDT at guest-physical address `dsdt`.
pub(super) fn table(dsdt: u64) -> FADT {
    let mut table = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        // Set means: not a fixed-hardware button. The power button is a device of the DSDT, a sleep button there is none.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    table.century = RTC_CENTURY_INDEX;
    table.iapc_boot_arch = VGA_NOT_PRESENT.into();
    table.reset_reg = port(RESET_PORT);
    table.reset_value = RESET_VALUE;
    table.sleep_control_reg = port(SLEEP_CONTROL_PORT);
    table.sleep_status_reg = port(SLEEP_STATUS_PORT);
    table.finalize()
}

/// A register of one byte.
fn port(port: u16) -> GAS {
    GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, u64::from(port))
}
