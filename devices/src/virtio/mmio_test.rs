//! The transport holds a driver to the rules of virtio 1.2 §3.1 and §4.2, and asks for a reset when it breaks them.

use vm_memory::GuestAddress;

use super::{MMIO_WINDOW_BYTES, NOTIFY_OFFSET, Rng, TransportState, VirtioMmio, VirtioState, registers::*};
use crate::{GuestMemory, Irq, Lifecycle, MmioDevice};
use godwit_state::Save;

const MEMORY_BYTES: usize = 1 << 20;

pub struct Bench {
    pub device: VirtioMmio<Rng>,
    pub irq: Irq,
    pub memory: GuestMemory,
}

/// A source of entropy with 1 MiB of memory, resumed, as the machine hands it to a driver.
pub fn bench() -> Bench {
    let memory = GuestMemory::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap();
    let irq = Irq::new().unwrap();
    let mut device = VirtioMmio::new("rng0", Rng::new(), memory.clone(), irq.clone()).unwrap();
    device.resume();
    Bench { device, irq, memory }
}

impl Bench {
    pub fn read(&mut self, offset: u64) -> u32 {
        let mut word = [0; 4];
        self.device.read(offset, &mut word);
        u32::from_le_bytes(word)
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        self.device.write(offset, &value.to_le_bytes());
    }

    /// Brings the device to where the driver sets up queues, with `features`.
    pub fn negotiate(&mut self, features: u64) {
        self.write(STATUS, ACKNOWLEDGE);
        self.write(STATUS, ACKNOWLEDGE | DRIVER);
        for half in [0, 1] {
            self.write(DRIVER_FEATURES_SELECT, half);
            self.write(DRIVER_FEATURES, (features >> (32 * half)) as u32);
        }
        self.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    }

    /// Sets queue 0 up at these addresses and declares it ready.
    pub fn set_up_queue(&mut self, size: u32, desc: u64, driver: u64, device: u64) {
        self.write(QUEUE_SELECT, 0);
        self.write(QUEUE_SIZE, size);
        for (low, high, address) in [
            (QUEUE_DESC_LOW, QUEUE_DESC_HIGH, desc),
            (QUEUE_DRIVER_LOW, QUEUE_DRIVER_HIGH, driver),
            (QUEUE_DEVICE_LOW, QUEUE_DEVICE_HIGH, device),
        ] {
            self.write(low, address as u32);
            self.write(high, (address >> 32) as u32);
        }
        self.write(QUEUE_READY, 1);
    }

    pub fn driver_ok(&mut self) {
        let status = self.read(STATUS);
        self.write(STATUS, status | DRIVER_OK);
    }

    pub fn interrupted(&self) -> bool {
        self.irq.event().read().is_ok()
    }
}

#[test]
fn a_driver_finds_a_modern_device() {
    let mut bench = bench();
    assert_eq!(bench.read(MAGIC_VALUE).to_le_bytes(), *b"virt");
    assert_eq!([LAYOUT_VERSION, DEVICE_ID].map(|offset| bench.read(offset)), [2, 4]);
    let features = [0, 1, 2].map(|half| {
        bench.write(DEVICE_FEATURES_SELECT, half);
        bench.read(DEVICE_FEATURES)
    });
    assert_eq!(features, [(F_EVENT_IDX | F_INDIRECT) as u32, (F_VERSION_1 >> 32) as u32, 0]);
    assert_eq!(bench.read(QUEUE_SIZE_MAX), 256);
    bench.write(QUEUE_SELECT, 1);
    assert_eq!([QUEUE_SIZE_MAX, QUEUE_READY].map(|offset| bench.read(offset)), [0, 0]);
    assert_eq!([0xb0, 0xb4, 0xb8, 0xbc].map(|offset| bench.read(offset)), [u32::MAX; 4]);
    assert_eq!((NOTIFY_OFFSET, MMIO_WINDOW_BYTES), (0x50, 0x1000));
}

#[test]
fn registers_answer_to_aligned_words_only() {
    let mut bench = bench();
    let mut byte = [0x55];
    bench.device.read(MAGIC_VALUE, &mut byte);
    assert_eq!(byte, [0]);
    assert_eq!(bench.read(MAGIC_VALUE + 1), 0);
    bench.device.write(STATUS, &[1]);
    assert_eq!(bench.read(STATUS), 0);
}

#[test]
fn features_are_agreed_on_only_if_offered_and_modern() {
    for (features, agreed) in [
        (F_VERSION_1, true),
        (F_VERSION_1 | F_EVENT_IDX | F_INDIRECT, true),
        (0, false),
        (F_EVENT_IDX, false),
        (F_VERSION_1 | 1, false),
        (F_VERSION_1 | 1 << 63, false),
    ] {
        let mut bench = bench();
        bench.negotiate(features);
        assert_eq!(bench.read(STATUS) & FEATURES_OK != 0, agreed, "features {features:#x}");
    }
}

#[test]
fn status_bits_only_accumulate_and_driver_ok_needs_agreement() {
    let mut bench = bench();
    bench.write(STATUS, ACKNOWLEDGE | DRIVER);
    bench.write(STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
    assert_eq!(bench.read(STATUS), ACKNOWLEDGE | DRIVER, "DRIVER_OK without FEATURES_OK");
    bench.write(STATUS, ACKNOWLEDGE);
    assert_eq!(bench.read(STATUS), ACKNOWLEDGE | DRIVER, "a bit taken back");
    bench.write(STATUS, ACKNOWLEDGE | DRIVER | NEEDS_RESET | 0xff00);
    assert_eq!(bench.read(STATUS), ACKNOWLEDGE | DRIVER, "a bit that is not the driver's");
    bench.write(STATUS, 0);
    assert_eq!(bench.read(STATUS), 0);
}

#[test]
fn features_are_fixed_once_agreed_on() {
    let mut bench = bench();
    bench.negotiate(F_VERSION_1);
    bench.write(DRIVER_FEATURES_SELECT, 0);
    bench.write(DRIVER_FEATURES, F_EVENT_IDX as u32);
    assert_eq!(bench.device.save().unwrap().transport.driver_features, F_VERSION_1);
}

#[test]
fn a_good_queue_becomes_ready_and_cannot_be_changed_then() {
    let mut bench = bench();
    bench.negotiate(F_VERSION_1);
    bench.set_up_queue(16, 0x1000, 0x2000, 0x3000);
    assert_eq!((bench.read(QUEUE_READY), bench.read(STATUS) & NEEDS_RESET), (1, 0));
    bench.write(QUEUE_DESC_LOW, 0x8000);
    bench.write(QUEUE_SIZE, 32);
    let queue = &bench.device.save().unwrap().transport.queues[0];
    assert_eq!((queue.desc, queue.size), (0x1000, 16));
    bench.write(QUEUE_READY, 0);
    assert_eq!(bench.read(QUEUE_READY), 0);
}

#[test]
fn a_queue_that_cannot_be_is_refused_and_the_device_asks_for_a_reset() {
    let end = MEMORY_BYTES as u64;
    for (size, desc, driver, device) in [
        (0, 0x1000, 0x2000, 0x3000),
        (12, 0x1000, 0x2000, 0x3000),
        (512, 0x1000, 0x2000, 0x3000),
        (0x1_0010, 0x1000, 0x2000, 0x3000),
        (16, 0x1008, 0x2000, 0x3000),
        (16, 0x1000, 0x2001, 0x3000),
        (16, 0x1000, 0x2000, 0x3002),
        (16, end - 16, 0x2000, 0x3000),
        (16, 0x1000, end - 4, 0x3000),
        (16, 0x1000, 0x2000, end - 4),
        (16, 0x1000, 0, 0x3000),
        (16, u64::MAX - 15, 0x2000, 0x3000),
        (16, 0x1000, u64::MAX - 1, 0x3000),
        (16, 0x1000, 0x2000, u64::MAX - 3),
    ] {
        let mut bench = bench();
        bench.negotiate(F_VERSION_1);
        bench.set_up_queue(size, desc, driver, device);
        let case = format!("{size} {desc:#x} {driver:#x} {device:#x}");
        assert_eq!(bench.read(QUEUE_READY), 0, "{case}");
        assert_eq!(bench.read(STATUS) & NEEDS_RESET, NEEDS_RESET, "{case}");
        bench.driver_ok();
        bench.write(STATUS, 0);
        assert_eq!(bench.read(STATUS), 0, "a reset helps");
    }
}

#[test]
fn queues_are_set_up_between_agreement_and_driver_ok_only() {
    let mut bench = bench();
    bench.set_up_queue(16, 0x1000, 0x2000, 0x3000);
    assert_eq!(bench.read(QUEUE_READY), 0);
    bench.negotiate(F_VERSION_1);
    bench.driver_ok();
    bench.set_up_queue(16, 0x1000, 0x2000, 0x3000);
    assert_eq!(bench.read(QUEUE_READY), 0);
}

#[test]
fn a_reset_forgets_everything_of_the_driver() {
    let mut bench = bench();
    let fresh = bench.device.save().unwrap();
    bench.negotiate(F_VERSION_1);
    bench.set_up_queue(16, 0x1000, 0x2000, 0x3000);
    bench.driver_ok();
    assert_ne!(bench.device.save().unwrap(), fresh);
    bench.write(STATUS, 0);
    assert_eq!(bench.device.save().unwrap(), fresh);
}

#[test]
fn a_notification_reaches_the_queues_event_and_no_other() {
    let mut bench = bench();
    let pending =
        |bench: &Bench| bench.device.notifiers().map(|(_, event)| event.read().is_ok()).collect::<Vec<_>>();
    assert_eq!(pending(&bench), [true], "resuming looks at every queue");
    bench.write(QUEUE_NOTIFY, 1);
    bench.write(QUEUE_NOTIFY, u32::MAX);
    assert_eq!(pending(&bench), [false]);
    bench.write(QUEUE_NOTIFY, 0);
    assert_eq!(pending(&bench), [true]);
}

fn with_transport(change: impl FnOnce(&mut TransportState)) -> VirtioState<super::RngState> {
    let mut bench = bench();
    bench.negotiate(F_VERSION_1);
    bench.set_up_queue(16, 0x1000, 0x2000, 0x3000);
    bench.driver_ok();
    let mut state = bench.device.save().unwrap();
    change(&mut state.transport);
    state
}

#[test]
fn a_saved_device_comes_back_and_raises_what_is_pending() {
    let state = with_transport(|t| {
        t.interrupt_status = INTERRUPT_USED;
        (t.queues[0].next_avail, t.queues[0].next_used) = (7, 5);
    });
    let mut target = bench();
    target.device.restore(&state).unwrap();
    assert!(!target.interrupted());
    target.device.resume();
    assert!(target.interrupted());
    assert_eq!(target.device.save().unwrap(), state);
    assert_eq!([STATUS, INTERRUPT_STATUS, QUEUE_READY].map(|offset| target.read(offset)), [15, 1, 1]);
    target.write(INTERRUPT_ACK, 1);
    assert_eq!(target.read(INTERRUPT_STATUS), 0);
}

#[test]
fn states_that_cannot_be_are_refused_in_words() {
    type Change = fn(&mut TransportState);
    let refusals: [(Change, &str); 11] = [
        (|t| t.status = 0x10, "device status 0x10"),
        (|t| t.status = DRIVER_OK, "device status 0x4"),
        (|t| t.driver_features |= 1, "uses features 0x100000001"),
        (|t| t.driver_features = 0, "uses features 0x0"),
        (|t| t.interrupt_status = 4, "interrupt status 0x4"),
        (|t| t.queues.clear(), "0 queues where it comes from and 1 here"),
        (|t| t.status = ACKNOWLEDGE, "ready before features"),
        (|t| t.queues[0].ready = false, "ring positions"),
        (|t| t.queues[0].size = 17, "queue 0: invalid queue size"),
        (|t| t.queues[0].desc = 1 << 40, "queue 0: its rings are not within memory"),
        (|t| t.queues[0].device = 3, "queue 0: virtio queue used ring breaks alignment"),
    ];
    for (change, word) in refusals {
        let state = with_transport(|t| {
            t.queues[0].next_avail = 1;
            change(t);
        });
        let error = bench().device.restore(&state).unwrap_err().to_string();
        assert!(error.starts_with("'rng0': ") && error.contains(word), "{error} instead of {word}");
    }
}
