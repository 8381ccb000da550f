//! How the guest ends.
//!
//! The debug-exit port takes a status: 0 for success. VMMs that have it end with `status * 2 + 1` of their own
//! (QEMU's `isa-debug-exit`). Where nothing answers, the next stronger way follows.

use crate::parameters::Exit;
use crate::sys::{port, ring0};

const DEBUG_EXIT: u16 = 0xf4;
const KEYBOARD_COMMAND: u16 = 0x64;
const RESET: u8 = 0xfe;
/// QEMU's pvpanic, and what says that the guest panicked.
const PVPANIC: u16 = 0x505;
const PANICKED: u8 = 1;
/// Looks at a port that give a VMM time to act on what was written to another.
const PATIENCE: u32 = 1000;

/// Ends the guest.
pub fn exit(how: Exit, status: u8) -> ! {
    if how == Exit::Debug {
        port::write(DEBUG_EXIT, status);
        wait();
    }
    if how == Exit::Panic {
        port::write(PVPANIC, PANICKED);
    }
    if matches!(how, Exit::Debug | Exit::Reset | Exit::Panic) {
        port::write(KEYBOARD_COMMAND, RESET);
        wait();
    }
    if how != Exit::Halt {
        ring0::triple_fault();
    }
    ring0::halt()
}

fn wait() {
    for _ in 0..PATIENCE {
        port::read(KEYBOARD_COMMAND);
    }
}
