//! I/O ports, up to 0x7ff: those that the task state segment's bitmap gives to ring 3.
//!
//! Neighbours: `serial`, `pit`, `exit`.

use core::arch::asm;

/// Reads a byte from `port`.
pub fn read(port: u16) -> u8 {
    let value;
    // SAFETY: a port access changes no memory of the guest's.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes a byte to `port`.
pub fn write(port: u16, value: u8) {
    // SAFETY: a port access changes no memory of the guest's.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}
