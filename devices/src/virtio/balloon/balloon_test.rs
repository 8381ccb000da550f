//! A balloon gives back what it is given and nothing else, and no driver makes it panic or spin.

use godwit_state::Save;
use proptest::prelude::*;

use super::{
    Balloon,
    driver_test::{BUFFER, Driver, MEMORY_BYTES, WRITE, device},
};
use crate::{
    Lifecycle, MmioDevice,
    virtio::{VirtioMmio, registers::*},
};

const INFLATE: u32 = 0;
const DEFLATE: u32 = 1;
const STATS: u32 = 2;
const REPORTS: u32 = 4;
const TARGET: u64 = 0;
const ACTUAL: u64 = 4;

fn features(driver: &Driver) -> u32 {
    driver.write(DEVICE_FEATURES_SELECT, 0);
    driver.read(DEVICE_FEATURES) & 0xff
}

#[test]
fn it_offers_what_the_user_chose() {
    let driver = Driver::of("size=1M");
    assert_eq!(driver.read(DEVICE_ID), 5);
    assert_eq!(features(&driver), 0b1010, "statistics and hints");
    let queues = |driver: &Driver| {
        [0, 1, 2, 3, 4, 5].map(|queue| {
            driver.write(QUEUE_SELECT, queue);
            driver.read(QUEUE_SIZE_MAX)
        })
    };
    assert_eq!(queues(&driver), [128, 128, 128, 1024, 0, 0]);
    let driver = Driver::of("deflate_on_oom=on,free_page_reporting=on");
    assert_eq!(features(&driver), 0b10_1110);
    assert_eq!(queues(&driver), [128, 128, 128, 1024, 128, 0]);
}

#[test]
fn the_driver_reads_the_target_and_writes_what_it_has_given() {
    let driver = Driver::of("size=1M");
    assert_eq!([TARGET, ACTUAL, 8, 12, 16, 0xe00].map(|at| driver.config(at)), [256, 0, 0, 0, 0, 0]);
    for (at, value) in [(ACTUAL, 17), (TARGET, 1), (8, 2), (12, 3), (16, 4)] {
        driver.write(CONFIG + at, value);
    }
    assert_eq!([TARGET, ACTUAL, 8, 12].map(|at| driver.config(at)), [256, 17, 0, 0]);
    let (target, actual) = driver.host(|balloon| (balloon.target_bytes(), balloon.actual_bytes()));
    assert_eq!((target, actual), (1 << 20, 17 << 12));
}

#[test]
fn the_configuration_answers_every_width_at_every_offset() {
    let driver = Driver::of("size=16909320K"); // 0x408102 pages
    driver.write(CONFIG + ACTUAL, 0x0807_0605);
    let all = [2, 0x81, 0x40, 0, 5, 6, 7, 8];
    let mut device = driver.device.lock().unwrap();
    for width in 1..=8 {
        for offset in 0..20 {
            let mut data = vec![0x55; width];
            device.read(CONFIG + offset as u64, &mut data);
            let expected: Vec<u8> = (offset..offset + width).map(|at| *all.get(at).unwrap_or(&0)).collect();
            assert_eq!(data, expected, "{width} bytes at {offset}");
        }
    }
    device.write(CONFIG + 2, &[9; 4]);
    device.write(u64::MAX, &[9; 8]);
    drop(device);
    assert_eq!([TARGET, ACTUAL].map(|at| driver.config(at)), [0x40_8102, 0x0807_0909]);
}

#[test]
fn another_target_is_announced_and_the_same_is_not() {
    let driver = Driver::of("size=1M");
    let generation = driver.read(CONFIG_GENERATION);
    driver.host(|balloon| balloon.set_target_bytes(1 << 20));
    assert_eq!((driver.interrupts(), driver.read(CONFIG_GENERATION)), (0, generation));
    driver.host(|balloon| balloon.set_target_bytes((2 << 20) + 4095));
    assert_eq!((driver.interrupts(), driver.config(TARGET)), (INTERRUPT_CONFIG, 512));
    assert_ne!(driver.read(CONFIG_GENERATION), generation);
}

#[test]
fn pages_that_are_inflated_are_released_and_no_other() {
    let mut driver = Driver::of("size=1M");
    driver.fill(0x200..0x220);
    driver.send_words(INFLATE, &[0x207, 0x205, 0x206, 0x21f, 0x205, 0x20b]);
    assert_eq!((driver.used(INFLATE), driver.interrupts()), (1, INTERRUPT_USED));
    let released: Vec<u64> = (0x200..0x220).filter(|page| !driver.is_filled(*page)).collect();
    assert_eq!(released, [0x205, 0x206, 0x207, 0x20b, 0x21f]);
    driver.fill(0x205..0x206);
    driver.send_words(DEFLATE, &[0x205]);
    assert_eq!(driver.used(DEFLATE), 1);
    assert!(driver.is_filled(0x205), "what comes back is the driver's at once");
}

#[test]
fn pages_that_are_reported_are_released_as_far_as_they_are_whole() {
    let mut driver = Driver::of("free_page_reporting=on");
    driver.fill(0x200..0x220);
    driver.offer(
        REPORTS,
        &[
            (0x20_1000, 0x2000, WRITE),
            (0x20_5800, 0x2000, WRITE),
            (0x20_9001, 0x1000, WRITE),
            (0x20_b010, 0x10, WRITE),
        ],
    );
    assert_eq!(driver.used(REPORTS), 1);
    let released: Vec<u64> = (0x200..0x220).filter(|page| !driver.is_filled(*page)).collect();
    assert_eq!(released, [0x201, 0x202, 0x206]);
}

#[test]
fn a_broken_request_stops_the_device_and_changes_nothing() {
    let end = (MEMORY_BYTES / 4096) as u32;
    type Case = (&'static str, u32, Vec<u32>, (u64, u32, u16));
    let cases: [Case; 8] = [
        ("a page behind the end", INFLATE, vec![0x200, end], (BUFFER, 8, 0)),
        ("the last page number", INFLATE, vec![0x200, u32::MAX], (BUFFER, 8, 0)),
        ("a page to deflate behind the end", DEFLATE, vec![end], (BUFFER, 4, 0)),
        ("a part of a number", INFLATE, vec![0x200], (BUFFER, 7, 0)),
        ("too many numbers", INFLATE, vec![0x200], (BUFFER, 0x1_0004, 0)),
        ("numbers to write", INFLATE, vec![0x200], (BUFFER, 4, WRITE)),
        ("a report to read", REPORTS, vec![], (0x20_0000, 0x1000, 0)),
        ("statistics to write", STATS, vec![], (BUFFER, 10, WRITE)),
    ];
    for (case, queue, numbers, buffer) in cases {
        let mut driver = Driver::of("free_page_reporting=on");
        driver.fill(0x200..0x201);
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        vm_memory::Bytes::write_slice(&driver.memory, &bytes, vm_memory::GuestAddress(BUFFER)).unwrap();
        driver.offer(queue, &[buffer]);
        assert!(driver.needs_reset(), "{case}");
        assert!(driver.is_filled(0x200), "{case}");
        assert_eq!((driver.used(queue), driver.interrupts()), (0, INTERRUPT_CONFIG), "{case}");
    }
}

#[test]
fn statistics_come_when_they_are_asked_for() {
    let mut driver = Driver::of("size=0");
    let entry = |tag: u16, value: u64| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat();
    driver.send(STATS, &[entry(4, 1000), entry(99, 5), entry(0, 7), vec![1, 2, 3]].concat());
    assert_eq!(driver.used(STATS), 0, "the buffer is kept");
    let told = |driver: &Driver| driver.host(|balloon| balloon.statistics().iter().collect::<Vec<_>>());
    assert_eq!(told(&driver), [("swap_in", 7), ("free_memory", 1000)]);

    assert!(driver.host(Balloon::ask_statistics));
    driver.turn();
    assert_eq!((driver.used(STATS), driver.interrupts()), (1, INTERRUPT_USED), "given back to be filled");
    assert!(driver.host(|balloon| balloon.awaits_statistics()));
    driver.send(STATS, &entry(6, 2000));
    assert_eq!(told(&driver), [("available_memory", 2000)]);
    assert!(!driver.host(|balloon| balloon.awaits_statistics()));
    assert_eq!(driver.used(STATS), 1);
}

#[test]
fn a_second_buffer_for_statistics_brings_the_first_back() {
    let mut driver = Driver::of("size=0");
    driver.send(STATS, &[0; 10]);
    driver.send(STATS, &[0; 10]);
    assert_eq!(driver.used(STATS), 1);
    driver.host(Balloon::ask_statistics);
    driver.turn();
    assert_eq!(driver.used(STATS), 2);
}

/// The guest of `source` on a device of its own, resumed.
fn moved(source: &Driver, config: &str) -> Driver {
    source.device.lock().unwrap().pause();
    let saved = source.device.lock().unwrap().save().unwrap();
    let mut target = device(config, &source.memory, &source.irq);
    target.restore(&saved).unwrap();
    assert_eq!(target.save().unwrap(), saved);
    target.resume();
    let mut target = Driver::on(target, source.memory.clone(), source.irq.clone());
    target.turn();
    target
}

#[test]
fn a_balloon_moves_with_the_buffer_that_it_keeps() {
    let mut source = Driver::of("size=1M");
    source.send(STATS, &[0; 10]);
    source.write(CONFIG + ACTUAL, 256);
    let target = moved(&source, "size=0");
    assert_eq!([TARGET, ACTUAL].map(|at| target.config(at)), [256, 256], "the size is the guest's");
    assert_eq!(target.interrupts(), 0, "nothing has changed for the driver");
    let mut target = target;
    target.host(Balloon::ask_statistics);
    target.turn();
    assert_eq!(target.used(STATS), 1);
}

#[test]
fn a_target_without_what_the_driver_uses_refuses() {
    let source = Driver::of("free_page_reporting=on");
    let saved = source.device.lock().unwrap().save().unwrap();
    let error = device("size=0", &source.memory, &source.irq).restore(&saved).unwrap_err();
    assert!(error.to_string().contains("balloon0"), "{error}");
}

#[test]
fn a_reset_forgets_the_driver_and_not_the_user() {
    let mut driver = Driver::of("size=1M");
    driver.send(STATS, &[0; 10]);
    driver.write(CONFIG + ACTUAL, 256);
    driver.host(Balloon::ask_free);
    driver.host(|balloon| balloon.set_target_bytes(2 << 20));
    driver.write(STATUS, 0);
    assert_eq!([TARGET, ACTUAL, 8].map(|at| driver.config(at)), [512, 0, 0]);
    assert!(!driver.host(|balloon| balloon.awaits_free()));
    assert!(!driver.host(Balloon::ask_statistics), "nobody would answer");
    let state = driver.device.lock().unwrap().save().unwrap().device;
    assert_eq!((state.statistics_kept, state.last_report), (None, 2));
}

/// A buffer of a driver that writes anything, though often something that nearly makes sense.
fn buffer() -> impl Strategy<Value = (u64, u32, u16)> {
    let address = prop_oneof![
        4 => Just(BUFFER),
        2 => (0x200..0x220_u64).prop_map(|page| page * 4096),
        1 => Just(MEMORY_BYTES - 1),
        1 => any::<u64>(),
    ];
    let len = prop_oneof![4 => Just(4_u32), 2 => Just(0x1000), 2 => 0..256_u32, 1 => any::<u32>()];
    (address, len, prop_oneof![2 => Just(0_u16), 2 => Just(WRITE), 1 => 0..8_u16])
}

proptest! {
    #[test]
    fn no_driver_makes_it_panic_or_spin(
        chains in prop::collection::vec((0..5_u32, prop::collection::vec(buffer(), 1..4)), 1..12),
        words in prop::collection::vec(prop_oneof![0..4_u32, 0x1f0..0x410_u32, any::<u32>()], 8),
        reporting: bool,
        config in prop::collection::vec((0..0x20_u64, prop::collection::vec(any::<u8>(), 1..9)), 0..4),
    ) {
        let mut driver = Driver::of(if reporting { "free_page_reporting=on" } else { "size=1M" });
        driver.host(Balloon::ask_free);
        for (number, (queue, buffers)) in chains.iter().enumerate() {
            for (at, word) in (0..).zip(&words) {
                vm_memory::Bytes::write_obj(
                    &driver.memory, *word, vm_memory::GuestAddress(BUFFER + 4 * at),
                ).unwrap();
            }
            driver.offer(*queue, buffers);
            prop_assert!(driver.turn() < 100);
            if number == 3 {
                driver.host(Balloon::ask_statistics);
            }
        }
        for (offset, data) in config {
            driver.device.lock().unwrap().write(CONFIG + offset, &data);
        }
        for run in driver.host(Balloon::take_free) {
            prop_assert!(run.start < run.end && run.end <= MEMORY_BYTES);
            prop_assert!(run.start % 4096 == 0 && run.end % 4096 == 0);
        }
        let saved = driver.device.lock().unwrap().save().unwrap();
        let mut again: VirtioMmio<Balloon> = device(if reporting { "free_page_reporting=on" } else { "size=1M" }, &driver.memory, &driver.irq);
        again.restore(&saved).unwrap();
        prop_assert_eq!(again.save().unwrap(), saved);
    }
}
