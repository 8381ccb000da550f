//! The entropy source fills what it is given, marks what it wrote, and lets no driver make it spin or panic.

use std::sync::{Arc, Mutex};

use event_manager::{EventManager, SubscriberOps};
use godwit_state::Save;
use proptest::prelude::*;
use virtio_bindings::virtio_ring::{VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, bitmap::Bitmap};

use super::{
    Rng, VirtioMmio,
    mmio_test::{Bench, bench},
    registers::*,
};
use crate::{GuestMemory, Lifecycle};

const WRITE: u16 = VRING_DESC_F_WRITE as u16;
const NEXT: u16 = VRING_DESC_F_NEXT as u16;
const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;
const SIZE: u16 = 16;
/// Where the driver has put the queue, and its first buffer: a page each.
const TABLE: u64 = 0x1000;
const AVAIL: u64 = 0x2000;
const AVAIL_INDEX: u64 = AVAIL + 2;
const AVAIL_RING: u64 = AVAIL + 4;
const USED_EVENT: u64 = AVAIL_RING + 2 * SIZE as u64;
const USED: u64 = 0x3000;
const USED_INDEX: u64 = USED + 2;
const USED_RING: u64 = USED + 4;
const AVAIL_EVENT: u64 = USED_RING + 8 * SIZE as u64;
const BUFFER: u64 = 0x1_0000;

/// Address, length, flags and next of a descriptor.
type Described = (u64, u32, u16, u16);

/// A bench whose driver is ready with a queue of 16 with nothing in it.
struct Ready {
    bench: Bench,
    memory: GuestMemory,
}

fn ready(features: u64) -> Ready {
    let mut bench = bench();
    let memory = bench.memory.clone();
    bench.negotiate(F_VERSION_1 | features);
    bench.set_up_queue(SIZE.into(), TABLE, AVAIL, USED);
    bench.driver_ok();
    Ready { bench, memory }
}

impl Ready {
    fn load(&self, address: u64) -> u16 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }

    fn store(&self, address: u64, value: u16) {
        self.memory.write_obj(value, GuestAddress(address)).unwrap();
    }

    fn describe(&self, table: u64, descriptors: &[Described]) {
        for (index, (address, len, flags, next)) in (0..).zip(descriptors) {
            let descriptor = Descriptor::new(*address, *len, *flags, *next);
            self.memory.write_obj(descriptor, GuestAddress(table + 16 * index)).unwrap();
        }
    }

    /// Writes `descriptors` to the table and makes the chain that begins with the first available.
    fn offer(&self, descriptors: &[Described]) {
        self.describe(TABLE, descriptors);
        let index = self.load(AVAIL_INDEX);
        self.store(AVAIL_RING + 2 * u64::from(index % SIZE), 0);
        self.store(AVAIL_INDEX, index.wrapping_add(1));
    }

    /// Runs the device's side as the event loop would, until it is quiet; says how many events there were.
    fn turn(&mut self) -> usize {
        let mut events = EventManager::new().unwrap();
        let device = Arc::new(Mutex::new(std::mem::replace(&mut self.bench.device, spare())));
        let id = events.add_subscriber(device.clone());
        let turns = std::iter::from_fn(|| Some(events.run_with_timeout(0).unwrap()))
            .take(1_000)
            .take_while(|events| *events > 0)
            .sum();
        drop(events.remove_subscriber(id).unwrap());
        drop(events);
        self.bench.device = Arc::into_inner(device).unwrap().into_inner().unwrap();
        turns
    }

    fn used(&self) -> u16 {
        self.load(USED_INDEX)
    }

    /// Bytes that the device says it has written for used element `index`.
    fn used_len(&self, index: u64) -> u32 {
        self.memory.read_obj(GuestAddress(USED_RING + 8 * index + 4)).unwrap()
    }

    fn needs_reset(&mut self) -> bool {
        self.bench.read(STATUS) & NEEDS_RESET != 0
    }

    fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    fn is_dirty(&self, address: u64) -> bool {
        let region = self.memory.find_region(GuestAddress(address)).unwrap();
        region.bitmap().dirty_at((address - region.start_addr().0) as usize)
    }
}

fn spare() -> VirtioMmio<Rng> {
    bench().device
}

#[test]
fn a_buffer_is_filled_used_and_announced() {
    let mut ready = ready(0);
    ready.offer(&[(BUFFER, 64, WRITE, 0)]);
    ready.turn();
    assert_eq!((ready.used(), ready.used_len(0)), (1, 64));
    assert!(ready.bytes(BUFFER, 64).iter().any(|byte| *byte != 0), "64 zero bytes are not random");
    assert_eq!(ready.bytes(BUFFER + 64, 64), [0; 64]);
    assert!(ready.bench.interrupted());
    assert_eq!(ready.bench.read(INTERRUPT_STATUS), INTERRUPT_USED);
}

#[test]
fn every_page_that_the_device_writes_is_marked_dirty_and_no_other() {
    let mut ready = ready(0);
    ready.offer(&[(BUFFER, 100, WRITE | NEXT, 1), (BUFFER + 0x4ff0, 0x20, WRITE, 0)]);
    // The driver's own writes above went through the same memory: start from a clean slate.
    ready.memory.find_region(GuestAddress(0)).unwrap().get_mmap().bitmap().reset();
    ready.turn();
    let dirty: Vec<u64> =
        (0..0x100_0000_u64 >> 16).map(|page| page << 12).filter(|at| ready.is_dirty(*at)).collect();
    assert_eq!(dirty, [USED, BUFFER, BUFFER + 0x4000, BUFFER + 0x5000]);
}

#[test]
fn a_large_request_is_answered_in_part() {
    let mut ready = ready(0);
    ready.offer(&[(BUFFER, 0xc000, WRITE | NEXT, 1), (BUFFER + 0x1_0000, 0x8000, WRITE, 0)]);
    ready.turn();
    assert_eq!((ready.used(), ready.used_len(0)), (1, 64 << 10));
    let last = BUFFER + 0x1_0000 + 0x4000;
    assert!(ready.bytes(last - 64, 64).iter().any(|byte| *byte != 0));
    assert_eq!(ready.bytes(last, 64), [0; 64]);
}

#[test]
fn an_indirect_table_is_followed() {
    let mut ready = ready(F_INDIRECT);
    let table = 0x8000;
    ready.describe(table, &[(BUFFER, 8, WRITE | NEXT, 1), (BUFFER + 0x1000, 8, WRITE, 0)]);
    ready.offer(&[(table, 32, INDIRECT, 0)]);
    ready.turn();
    assert_eq!((ready.used(), ready.used_len(0)), (1, 16));
}

#[test]
fn with_event_idx_the_driver_says_when_it_wants_an_interrupt() {
    let mut ready = ready(F_EVENT_IDX);
    // Tell me after the second.
    ready.store(USED_EVENT, 1);
    ready.offer(&[(BUFFER, 8, WRITE, 0)]);
    ready.turn();
    assert_eq!((ready.used(), ready.bench.interrupted()), (1, false));
    ready.offer(&[(BUFFER, 8, WRITE, 0)]);
    ready.bench.write(QUEUE_NOTIFY, 0);
    ready.turn();
    assert_eq!((ready.used(), ready.bench.interrupted()), (2, true));
}

#[test]
fn a_full_ring_is_served_and_the_driver_asked_to_notify_of_the_next() {
    for features in [0, F_EVENT_IDX] {
        let mut ready = ready(features);
        (0..SIZE).for_each(|_| ready.offer(&[(BUFFER, 8, WRITE, 0)]));
        ready.turn();
        assert_eq!(ready.used(), SIZE);
        let expected = if features == 0 { 0 } else { SIZE };
        assert_eq!((ready.load(USED), ready.load(AVAIL_EVENT)), (0, expected), "flags and event index");
    }
}

#[test]
fn nothing_is_served_while_paused_and_everything_after() {
    let mut ready = ready(0);
    ready.bench.device.pause();
    ready.offer(&[(BUFFER, 8, WRITE, 0)]);
    ready.bench.write(QUEUE_NOTIFY, 0);
    ready.turn();
    assert_eq!(ready.used(), 0);
    ready.bench.device.resume();
    ready.turn();
    assert_eq!(ready.used(), 1);
}

#[test]
fn a_request_that_was_never_announced_here_is_served_after_a_move() {
    let mut source = ready(0);
    source.offer(&[(BUFFER, 8, WRITE, 0)]);
    source.turn();
    source.bench.device.pause();
    source.offer(&[(BUFFER, 8, WRITE, 0)]);
    let mut target = Ready { bench: bench(), memory: source.memory.clone() };
    target.bench.device =
        VirtioMmio::new("rng0", Rng::new(), source.memory.clone(), target.bench.irq.clone()).unwrap();
    target.bench.device.restore(&source.bench.device.save().unwrap()).unwrap();
    target.turn();
    assert_eq!(target.used(), 1, "not before it is resumed");
    target.bench.device.resume();
    target.turn();
    assert_eq!(target.used(), 2);
    assert!(target.bench.interrupted());
}

/// A driver of a source with this limit.
fn limited(config: &str) -> Ready {
    let mut ready = ready(0);
    let rng = Rng::configured(&config.parse().unwrap()).unwrap();
    ready.bench.device = VirtioMmio::new("rng0", rng, ready.memory.clone(), ready.bench.irq.clone()).unwrap();
    ready.bench.device.resume();
    ready.bench.negotiate(F_VERSION_1);
    ready.bench.set_up_queue(SIZE.into(), TABLE, AVAIL, USED);
    ready.bench.driver_ok();
    ready
}

#[test]
fn what_is_beyond_the_limit_waits_until_there_is_something_again() {
    // A day for a token; a request is paid for afterwards, so the first one passes whatever it takes.
    let mut ready = limited("bw_size=64,bw_refill_time=86400000");
    (0..3).for_each(|_| ready.offer(&[(BUFFER, 48, WRITE, 0)]));
    assert!(ready.turn() < 10, "it does not spin");
    assert_eq!(ready.used(), 2);
    ready.bench.write(QUEUE_NOTIFY, 0);
    assert!(ready.turn() < 10);
    assert_eq!((ready.used(), ready.needs_reset()), (2, false));
    assert_eq!(
        ready.bench.device.save().unwrap().transport.queues[0].next_avail,
        2,
        "the third is still to come"
    );

    let mut ready = limited("ops_size=1,ops_refill_time=5");
    (0..3).for_each(|_| ready.offer(&[(BUFFER, 8, WRITE, 0)]));
    // One loop, as a machine has it, because a timer is watched by its edges.
    let device = Arc::new(Mutex::new(std::mem::replace(&mut ready.bench.device, spare())));
    let mut events = EventManager::new().unwrap();
    events.add_subscriber(device);
    while ready.used() < 3 {
        assert!(events.run_with_timeout(10_000).unwrap() > 0, "the timer calls");
    }
}

#[test]
fn a_broken_chain_stops_the_device_until_its_reset() {
    let far = 1 << 30;
    let cases: [(&str, &[Described]); 10] = [
        ("loop of one", &[(BUFFER, 8, WRITE | NEXT, 0)]),
        ("loop of two", &[(BUFFER, 8, WRITE | NEXT, 1), (BUFFER, 8, WRITE | NEXT, 0)]),
        ("next beyond the table", &[(BUFFER, 8, WRITE | NEXT, SIZE)]),
        ("buffer outside of memory", &[(far, 8, WRITE, 0)]),
        ("buffer across the end of memory", &[((1 << 20) - 4, 8, WRITE, 0)]),
        ("address that wraps", &[(u64::MAX - 3, 8, WRITE, 0)]),
        ("good buffer before a bad one", &[(BUFFER, 8, WRITE | NEXT, 1), (far, 8, WRITE, 0)]),
        ("empty buffer", &[(BUFFER, 0, WRITE, 0)]),
        ("buffer to read", &[(BUFFER, 8, 0, 0)]),
        ("indirect table outside of memory", &[(far, 32, INDIRECT, 0)]),
    ];
    for (case, descriptors) in cases {
        let mut ready = ready(F_INDIRECT);
        ready.offer(descriptors);
        assert!(ready.turn() < 10, "{case}");
        assert!(ready.needs_reset(), "{case}");
        assert_eq!(ready.used(), 0, "{case}");
        assert_eq!(ready.bytes(BUFFER, 8), [0; 8], "{case}: all or nothing");
        assert!(ready.bench.interrupted());
        assert_eq!(ready.bench.read(INTERRUPT_STATUS), INTERRUPT_CONFIG, "{case}");
        ready.offer(&[(BUFFER, 8, WRITE, 0)]);
        ready.bench.write(QUEUE_NOTIFY, 0);
        ready.turn();
        assert_eq!(ready.used(), 0, "{case}: nothing is served before the reset");
        ready.bench.write(STATUS, 0);
        assert!(!ready.needs_reset());
    }
}

#[test]
fn an_indirect_table_longer_than_the_devices_queue_stops_the_device() {
    let table = 0x8000;
    for (len, stops) in [(SIZE, false), (256, false), (257, true)] {
        let mut ready = ready(F_INDIRECT);
        let descriptors: Vec<Described> =
            (1..=len).map(|next| (BUFFER, 8, if next < len { WRITE | NEXT } else { WRITE }, next)).collect();
        ready.describe(table, &descriptors);
        ready.offer(&[(table, 16 * u32::from(len), INDIRECT, 0)]);
        ready.turn();
        assert_eq!((ready.needs_reset(), ready.used()), (stops, u16::from(!stops)), "{len} descriptors");
    }
}

#[test]
fn an_available_index_that_is_ahead_by_more_than_the_ring_stops_the_device() {
    let mut ready = ready(0);
    ready.store(AVAIL_INDEX, SIZE + 1);
    assert!(ready.turn() < 10);
    assert!(ready.needs_reset());
}

#[test]
fn a_head_beyond_the_table_stops_the_device() {
    let mut ready = ready(0);
    ready.store(AVAIL_RING, SIZE);
    ready.store(AVAIL_INDEX, 1);
    ready.turn();
    assert!(ready.needs_reset());
}

/// A descriptor of a driver that writes anything, though often something that nearly makes sense.
fn descriptor() -> impl Strategy<Value = Described> {
    let address = prop_oneof![Just(BUFFER), Just(0x1000), Just((1 << 20) - 1), any::<u64>()];
    let len = prop_oneof![0..256_u32, Just(u32::MAX), any::<u32>()];
    (address, len, 0..8_u16, 0..SIZE + 2)
}

proptest! {
    #[test]
    fn no_driver_makes_it_panic_or_spin(
        descriptors in prop::collection::vec(descriptor(), 1..8),
        indirect in prop::collection::vec(descriptor(), 0..4),
        rings in prop::collection::vec(any::<u16>(), 4),
        features in prop::sample::select(vec![0, F_EVENT_IDX, F_INDIRECT, F_EVENT_IDX | F_INDIRECT]),
    ) {
        let mut ready = ready(features);
        ready.describe(BUFFER, &indirect);
        ready.offer(&descriptors);
        prop_assert!(ready.turn() < 100);
        for (index, value) in (0..).zip(rings) {
            ready.store(AVAIL + 2 * index, value);
            ready.bench.write(QUEUE_NOTIFY, 0);
            prop_assert!(ready.turn() < 100);
        }
        let saved = ready.bench.device.save().unwrap();
        let mut again = VirtioMmio::new("rng0", Rng::new(), ready.memory.clone(), ready.bench.irq.clone()).unwrap();
        again.restore(&saved).unwrap();
        prop_assert_eq!(again.save().unwrap(), saved);
    }
}
