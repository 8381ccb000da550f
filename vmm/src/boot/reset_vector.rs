//! What stands where a PC's firmware begins: a guest jumps there, in real mode, to have the firmware restart the machine. Linux
//! does so on a machine whose ACPI is hardware-reduced and whose firmware has no EFI.

use godwit_devices::{RESET_PORT, RESET_VALUE};
use vm_memory::Bytes;

use super::{BootError, GuestMemory, layout::RESET_VECTOR};

const PORT: [u8; 2] = RESET_PORT.to_le_bytes();
/// `mov al, RESET_VALUE; mov dx, RESET_PORT; out dx, al`, and `hlt; jmp $-1` for what cannot be.
const CODE: [u8; 9] = [0xb0, RESET_VALUE, 0xba, PORT[0], PORT[1], 0xee, 0xf4, 0xeb, 0xfd];

/// Writes it.
///
/// # Errors
/// [`BootError::Memory`] where there is no memory.
pub(super) fn write(memory: &GuestMemory) -> Result<(), BootError> {
    memory
        .write_slice(&CODE, RESET_VECTOR)
        .map_err(|source| BootError::Memory { what: "reset vector", source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::{
        layout::GENERATION,
        samples::{MIB, memory},
    };

    #[test]
    fn it_writes_the_reset_register_and_ends_with_the_first_mebibyte() {
        let memory = memory(32 * MIB);
        write(&memory).unwrap();
        let found: [u8; 16] = memory.read_obj(RESET_VECTOR).unwrap();
        assert_eq!(found, [0xb0, 1, 0xba, 0x02, 0x06, 0xee, 0xf4, 0xeb, 0xfd, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(RESET_VECTOR.0 + 16, 1 << 20);
        const { assert!(GENERATION.0 + 16 <= RESET_VECTOR.0) };
    }
}
