//! Dirty tracking finds every write, by guest and VMM, once: the same for each way to ask KVM.
//!
//! These need /dev/kvm.

use godwit_migration::{
    host::PageSink,
    limits::{BLOCK_PAGES, PAGE_BYTES},
    page::{PageSet, Plan},
};
use vm_memory::{Bytes, GuestAddress};

use super::{
    Machine,
    bench::{Bench, boot_with, copy_pages, incoming, touched},
};
use crate::{boot::layout, config::DirtyKind};

const KINDS: [DirtyKind; 2] = [DirtyKind::Log, DirtyKind::Ring];
/// A place that the load guest with little memory never touches.
const UNUSED: u64 = 48 << 20;

fn page_of(address: u64) -> u32 {
    (address / PAGE_BYTES as u64) as u32
}

fn harvest(machine: &Machine) -> PageSet {
    let mut dirty = PageSet::empty((machine.memory_bytes() / PAGE_BYTES as u64) as u32);
    machine.dirty().harvest(&mut dirty).unwrap();
    dirty
}

fn peek(machine: &Machine) -> PageSet {
    let mut dirty = PageSet::empty((machine.memory_bytes() / PAGE_BYTES as u64) as u32);
    machine.dirty().peek(&mut dirty).unwrap();
    dirty
}

fn running(kind: DirtyKind, cmdline: &str, cpus: u8) -> Bench {
    let (mut bench, token) = boot_with(cmdline, cpus, kind);
    bench.resume(token);
    bench.await_beats(1);
    bench
}

#[test]
fn what_the_guest_writes_is_found_once() {
    for kind in KINDS {
        let mut bench = running(kind, "memory=8M working_set=4M rate=20000 pattern=sequential", 1);
        bench.machine.dirty().begin().unwrap();
        let beats = bench.beats().len();
        bench.await_beats(beats + 3);
        let _token = bench.machine.pause().unwrap();
        let seen = peek(&bench.machine);
        assert!(seen.count() >= 1024, "{kind:?}: {} pages of a working set of 1,024", seen.count());
        assert_eq!(harvest(&bench.machine), seen, "{kind:?}");
        assert!(harvest(&bench.machine).is_empty(), "{kind:?}");
    }
}

#[test]
fn what_the_vmm_writes_is_found_once() {
    for kind in KINDS {
        let (bench, _token) = boot_with("memory=1M", 1, kind);
        bench.machine.memory.write_obj(1_u8, GuestAddress(UNUSED)).unwrap();
        bench.machine.dirty().begin().unwrap();
        assert!(harvest(&bench.machine).is_empty(), "{kind:?}: a write before the beginning counts");
        let across = UNUSED + 3 * PAGE_BYTES as u64 - 1;
        bench.machine.memory.write_obj(0x1234_u16, GuestAddress(across)).unwrap();
        assert_eq!(peek(&bench.machine).iter().collect::<Vec<_>>(), [page_of(across), page_of(across) + 1]);
        assert_eq!(
            harvest(&bench.machine).iter().collect::<Vec<_>>(),
            [page_of(across), page_of(across) + 1]
        );
        assert!(harvest(&bench.machine).is_empty(), "{kind:?}");
    }
}

#[test]
fn pages_put_by_a_peer_are_not_found() {
    for kind in KINDS {
        let (bench, _token) = boot_with("memory=1M", 1, kind);
        bench.machine.dirty().begin().unwrap();
        bench.machine.pages().put(page_of(UNUSED), &[1; PAGE_BYTES]).unwrap();
        assert!(harvest(&bench.machine).is_empty(), "{kind:?}");
    }
}

#[test]
fn tracking_ends_and_begins_again() {
    for kind in KINDS {
        let bench = running(kind, "memory=8M working_set=4M rate=20000", 2);
        let dirty = bench.machine.dirty();
        let mut set = touched(&bench.machine);
        assert!(dirty.harvest(&mut set).is_err(), "{kind:?}: a harvest before the beginning");
        for _ in 0..3 {
            dirty.begin().unwrap();
            let beats = bench.beats().len();
            bench.await_beats(beats + 1);
            assert!(!harvest(&bench.machine).is_empty(), "{kind:?}");
            dirty.end().unwrap();
            dirty.end().unwrap();
            assert!(dirty.peek(&mut set).is_err(), "{kind:?}: a peek after the end");
        }
        let beats = bench.beats().len();
        assert!(bench.await_beats(beats + 2).iter().all(|beat| beat.1 == 0), "{kind:?}");
    }
}

#[test]
fn a_guest_that_fills_its_ring_is_relieved_and_nothing_is_lost() {
    // 40 MiB of content, twice what a ring of 8,192 entries holds, is written before the first harvest.
    let (mut bench, token) = boot_with("memory=40M", 1, DirtyKind::Ring);
    bench.machine.dirty().begin().unwrap();
    bench.resume(token);
    bench.await_beats(1);
    let _token = bench.machine.pause().unwrap();
    let found = harvest(&bench.machine);
    assert!(found.count() >= 40 << 20 >> 12, "{} pages", found.count());
}

/// The stop-and-copy of what is dirty, and the heartbeats of the guest at its target.
fn stopped_and_copied(mut source: Bench, mut target: Bench) -> Vec<(u64, u64)> {
    let token = source.machine.pause().unwrap();
    copy_pages(&source.machine, &target.machine, &harvest(&source.machine));
    target.machine.restore(&source.machine.save().unwrap()).unwrap();
    drop((token, source));
    target.resume(Machine::grant_from_peer());
    target.await_beats(8)
}

/// The whole of pre-copy: pages are copied while the guest writes them, then what was written again, then the rest
/// while it is paused. A write that tracking missed is a page that the guest finds to be wrong.
#[test]
fn a_guest_that_writes_while_it_is_copied_arrives_whole() {
    for (kind, cpus) in [(DirtyKind::Log, 1), (DirtyKind::Log, 2), (DirtyKind::Ring, 1), (DirtyKind::Ring, 2)]
    {
        let source = running(kind, "memory=24M working_set=16M rate=20000", cpus);
        let target = incoming(&source.machine);
        source.machine.dirty().begin().unwrap();
        copy_pages(&source.machine, &target.machine, &touched(&source.machine));
        for _ in 0..5 {
            copy_pages(&source.machine, &target.machine, &harvest(&source.machine));
        }
        let beats = stopped_and_copied(source, target);
        assert!(beats.iter().all(|beat| beat.1 == 0), "{kind:?}, {cpus} vCPUs: {beats:?}");
    }
}

/// Begins tracking with what was never touched armed; what was touched up to then.
fn begin_unarmed(machine: &Machine) -> PageSet {
    let dirty = machine.dirty();
    assert!(dirty.begin_unarmed().unwrap(), "KVM has a log that begins with all pages since Linux 5.7");
    let before = touched(machine);
    let mut untouched = PageSet::full(before.pages());
    untouched.subtract(&before);
    dirty.arm(&untouched, 0..before.pages()).unwrap();
    touched(machine)
}

#[test]
fn a_page_counts_as_written_until_it_is_armed() {
    let (bench, _token) = boot_with("memory=1M", 1, DirtyKind::Log);
    let dirty = bench.machine.dirty();
    assert!(dirty.begin_unarmed().unwrap());
    let all = PageSet::full(peek(&bench.machine).pages());
    assert_eq!(peek(&bench.machine), all);
    let some = all.filtered(|page| page % 3 > 0);
    dirty.arm(&some, 512..1024).unwrap();
    let left = all.filtered(|page| !(512..1024).contains(&page) || page % 3 == 0);
    assert_eq!(peek(&bench.machine), left, "two thirds of a block are armed");
    assert_eq!(harvest(&bench.machine), left);
    assert!(harvest(&bench.machine).is_empty(), "a harvest arms what it finds");
    dirty.end().unwrap();
    dirty.begin().unwrap();
    assert!(harvest(&bench.machine).is_empty(), "all are armed when tracking begins as usual");
}

#[test]
fn a_ring_arms_all_pages_at_once() {
    let (bench, _token) = boot_with("memory=1M", 1, DirtyKind::Ring);
    assert!(!bench.machine.dirty().begin_unarmed().unwrap());
    assert!(harvest(&bench.machine).is_empty());
}

#[test]
fn a_guest_whose_pages_are_armed_as_they_are_copied_arrives_whole() {
    for cpus in [1, 2] {
        let source = running(DirtyKind::Log, "memory=24M working_set=16M rate=20000", cpus);
        let target = incoming(&source.machine);
        let first = begin_unarmed(&source.machine);
        for block in 0..first.pages().div_ceil(BLOCK_PAGES) {
            source.machine.dirty().arm(&first, Plan::block_range(block)).unwrap();
            let range = Plan::block_range(block);
            copy_pages(&source.machine, &target.machine, &first.filtered(|page| range.contains(&page)));
        }
        copy_pages(&source.machine, &target.machine, &harvest(&source.machine));
        let beats = stopped_and_copied(source, target);
        assert!(beats.iter().all(|beat| beat.1 == 0), "{cpus} vCPUs: {beats:?}");
    }
}

/// A driver's part in virtio-rng, played through the bus: one buffer of 64 bytes, which the device fills.
#[test]
fn what_a_device_writes_into_guest_memory_is_found() {
    const DESCRIPTORS: u64 = UNUSED;
    const AVAILABLE: u64 = UNUSED + 0x1000;
    const USED: u64 = UNUSED + 0x2000;
    const BUFFER: u64 = UNUSED + 0x3000;
    for kind in KINDS {
        let bench = running(kind, "memory=1M", 1);
        let memory = &bench.machine.memory;
        let register = |offset: u64, value: u64| {
            let value = (value as u32).to_le_bytes();
            bench.machine.wiring.mmio.write(layout::VIRTIO_MMIO_BASE + offset, &value);
        };
        // Acknowledge, driver, VIRTIO_F_VERSION_1, features accepted (virtio 1.2, §4.2.2).
        for (offset, value) in [(0x70, 1), (0x70, 3), (0x24, 1), (0x20, 1), (0x24, 0), (0x20, 0), (0x70, 11)]
        {
            register(offset, value);
        }
        // Queue 0 with eight descriptors, ready; then the driver is.
        let places = [(0x80, DESCRIPTORS), (0x90, AVAILABLE), (0xa0, USED)];
        register(0x30, 0);
        register(0x38, 8);
        places.iter().for_each(|&(offset, address)| register(offset, address));
        register(0x44, 1);
        register(0x70, 15);

        memory.write_obj(BUFFER, GuestAddress(DESCRIPTORS)).unwrap();
        memory.write_obj([64_u32, 2 /* device writes */], GuestAddress(DESCRIPTORS + 8)).unwrap();
        memory.write_obj([0_u16, 1, 0], GuestAddress(AVAILABLE)).unwrap();
        bench.machine.dirty().begin().unwrap();
        register(0x50, 0);
        // A page is marked after it was written to, so its content says nothing of its mark yet.
        let start = std::time::Instant::now();
        let mut found = harvest(&bench.machine);
        while ![BUFFER, USED].iter().all(|&at| found.contains(page_of(at))) {
            assert!(start.elapsed().as_secs() < 10, "{kind:?}: {found:?}");
            std::thread::yield_now();
            found.union(&harvest(&bench.machine));
        }
        assert_ne!(memory.read_obj::<u16>(GuestAddress(USED + 2)).unwrap(), 0, "the device has answered");
        assert!(!found.contains(page_of(DESCRIPTORS)), "{kind:?}: {found:?}");
    }
}
