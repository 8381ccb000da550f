//! Starts further vCPUs: stacks, task state and descriptor for each, the trampoline, INIT and SIPI.
//!
//! One vCPU is started at a time: the next starts only after the last has said that it runs.
//! Neighbours: `boot` (what a vCPU executes until ring 3), `lapic` (the messages).

use core::ptr::with_exposed_provenance_mut;

use super::boot::{
    EntryBlock, FIRST_TSS_SELECTOR, MAX_CPUS, TRAMPOLINE, TSS_BYTES, entry_block, gdt, trampoline,
    trampoline_end,
};
use super::lapic;

const RING0_STACK_BYTES: usize = 1024;
const RING3_STACK_BYTES: usize = 16 << 10;
const PORT_BITMAP_OFFSET: usize = 102;
const RING0_STACK_OFFSET: usize = 4;
const TSS_TYPE: u64 = 0x89;

/// What belongs to one vCPU.
#[repr(C, align(64))]
struct Own {
    ring0_stack: [u8; RING0_STACK_BYTES],
    ring3_stack: [u8; RING3_STACK_BYTES],
    task_state: [u8; TSS_BYTES],
    entry: EntryBlock,
}

const EMPTY: Own = Own {
    ring0_stack: [0; RING0_STACK_BYTES],
    ring3_stack: [0; RING3_STACK_BYTES],
    task_state: [0; TSS_BYTES],
    entry: EntryBlock { ring0_stack: 0, ring3_stack: 0, tss_selector: 0, ring3_entry: 0, index: 0 },
};

static mut OWN: [Own; MAX_CPUS] = [EMPTY; MAX_CPUS];

/// The function that a started vCPU runs in ring 3: two unused arguments, then its index.
pub type Entry = extern "C" fn(u64, u64, u64) -> !;

/// Prepares vCPU `index` (1 to 15) to run `entry`, and resets the processor with APIC id `apic_id`.
/// It runs after [`lapic::start`]; no other may be prepared before it has.
pub fn prepare(index: usize, apic_id: u32, entry: Entry) {
    assert!((1..MAX_CPUS).contains(&index));
    // SAFETY: only the boot vCPU gets here; block `index` is unused until its vCPU starts, and the one that was
    // started before runs already, so it needs `entry_block` no more. The descriptor is within the table.
    unsafe {
        let own = (&raw mut OWN).cast::<Own>().add(index);
        let ring0_stack = (&raw const (*own).ring0_stack).expose_provenance() + RING0_STACK_BYTES;
        let ring3_stack = (&raw const (*own).ring3_stack).expose_provenance() + RING3_STACK_BYTES;
        let state = (&raw mut (*own).task_state).cast::<u8>();
        state.add(RING0_STACK_OFFSET).cast::<u64>().write_unaligned(ring0_stack as u64);
        state.add(PORT_BITMAP_OFFSET).cast::<u16>().write_unaligned(104);
        state.add(TSS_BYTES - 1).write(0xff);
        let descriptor = (&raw mut gdt).cast::<u64>().add(usize::from(FIRST_TSS_SELECTOR) / 8 + 2 * index);
        descriptor.write_volatile(tss_descriptor(state.expose_provenance() as u64));
        descriptor.add(1).write_volatile(0);
        (*own).entry = EntryBlock {
            ring0_stack: ring0_stack as u64,
            // A function expects its stack as a call leaves it: 8 bytes off a multiple of 16.
            ring3_stack: ring3_stack as u64 - 8,
            tss_selector: u64::from(FIRST_TSS_SELECTOR) + 16 * index as u64,
            ring3_entry: entry as usize as u64,
            index: index as u64,
        };
        (&raw mut entry_block).write_volatile(&raw const (*own).entry);
        let from = &raw const trampoline;
        let length = (&raw const trampoline_end).addr() - from.addr();
        with_exposed_provenance_mut::<u8>(TRAMPOLINE).copy_from(from.cast(), length);
    }
    lapic::reset(apic_id);
}

/// A descriptor of an available 64-bit task state segment at `base` (below 4 GiB).
fn tss_descriptor(base: u64) -> u64 {
    (TSS_BYTES as u64 - 1) | (base & 0xff_ffff) << 16 | TSS_TYPE << 40 | (base >> 24 & 0xff) << 56
}
