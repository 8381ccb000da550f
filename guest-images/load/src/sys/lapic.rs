//! The local APIC of the vCPU that runs: its timer, by which a vCPU sleeps, and the messages that start another.
//!
//! Neighbours: `ring0` (the waiting itself), `paging` (maps the registers), `cpus` (whom to start).

use super::boot::{SPURIOUS_VECTOR, TIMER_VECTOR, TRAMPOLINE};
use super::port;
use super::ring0;

const BASE: usize = 0xfee0_0000;
const ID: usize = 0x20;
const END_OF_INTERRUPT: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;
const TIMER: usize = 0x320;
const LEGACY_INPUT: usize = 0x350;
const TIMER_COUNT: usize = 0x380;
const TIMER_DIVISOR: usize = 0x3e0;

/// Ports of the interrupt masks of the two 8259s.
const LEGACY_MASKS: [u16; 2] = [0x21, 0xa1];
const ENABLED: u32 = 0x100;
const MASKED: u32 = 1 << 16;
const DIVIDE_BY_ONE: u32 = 0b1011;
const DELIVERY_PENDING: u32 = 1 << 12;
const INIT_ASSERT: u32 = 0x4500;
const STARTUP: u32 = 0x4600;
/// Counts of the timer in a microsecond: hypervisors run it at 1 GHz. Elsewhere a sleep is longer or shorter,
/// which nothing relies on.
const COUNTS_PER_MICROSECOND: u32 = 1000;

fn read(register: usize) -> u32 {
    // SAFETY: the page of the registers is mapped, aligned, and nothing else.
    unsafe { core::ptr::with_exposed_provenance::<u32>(BASE + register).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: as for reading; no register that is written changes memory.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(BASE + register).write_volatile(value) }
}

/// Silences the legacy interrupt controllers, of which firmware may have left a timer's interrupt pending. Before the
/// first [`enable`]: QEMU's software emulation forgets to take back an interrupt that is pending when it is closed
/// out, and then raises a fault for want of it.
pub fn silence_legacy_controllers() {
    LEGACY_MASKS.into_iter().for_each(|mask| port::write(mask, 0xff));
}

/// Makes the running vCPU's timer usable, and closes it to the legacy interrupt controllers.
pub fn enable() {
    write(SPURIOUS, ENABLED | SPURIOUS_VECTOR);
    write(LEGACY_INPUT, MASKED);
    write(TIMER_DIVISOR, DIVIDE_BY_ONE);
    write(TIMER, TIMER_VECTOR);
}

/// The running vCPU's APIC id.
pub fn id() -> u32 {
    read(ID) >> 24
}

/// Gives the processor away for about `microseconds` (at most 4 s).
pub fn sleep(microseconds: u32) {
    write(TIMER_COUNT, microseconds.saturating_mul(COUNTS_PER_MICROSECOND));
    ring0::wait_for_interrupt();
    write(END_OF_INTERRUPT, 0);
}

/// Resets the vCPU with APIC id `target` and lets it wait for [`start`].
pub fn reset(target: u32) {
    send(target, INIT_ASSERT);
}

/// Starts a vCPU that waits at the trampoline.
pub fn start(target: u32) {
    send(target, STARTUP | (TRAMPOLINE >> 12) as u32);
}

fn send(target: u32, command: u32) {
    write(COMMAND_HIGH, target << 24);
    write(COMMAND_LOW, command);
    while read(COMMAND_LOW) & DELIVERY_PENDING != 0 {
        core::hint::spin_loop();
    }
}
