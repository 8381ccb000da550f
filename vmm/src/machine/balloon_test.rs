//! A balloon's report in the engine's numbers, told by a driver that this test plays on the guest's memory.

use godwit_devices::MmioDevice;
use godwit_migration::{host::PageSource, page::PageSet};
use vm_memory::{Bytes, GuestAddress};

use super::{
    Machine,
    bench::{Bench, boot_devices},
};
use crate::{ConfigError, DeviceSet, error::MachineError};

/// Where the driver has its queue of page numbers, out of the load guest's way.
const TABLE: u64 = 0x200_0000;
const AVAILABLE: u64 = TABLE + 0x1000;
const USED: u64 = TABLE + 0x2000;
const NUMBERS: u64 = TABLE + 0x3000;
/// Virtio-mmio registers (virtio 1.2 §4.2.2).
const DRIVER_FEATURES: u64 = 0x20;
const DRIVER_FEATURES_SELECT: u64 = 0x24;
const STATUS: u64 = 0x70;
const CONFIG: u64 = 0x100;

fn with_balloon(options: &str) -> Bench {
    let devices = DeviceSet { balloon: Some(options.parse().unwrap()), ..DeviceSet::default() };
    let (mut bench, token) = boot_devices("memory=8M rate=0 heartbeat=20", devices).unwrap();
    bench.resume(token);
    bench
}

fn write(machine: &Machine, offset: u64, value: u32) {
    let balloon = machine.wiring.balloon.as_ref().unwrap();
    balloon.lock().unwrap().write(offset, &value.to_le_bytes());
}

/// A driver of the first queue, for page numbers.
fn drive(machine: &Machine) {
    write(machine, STATUS, 3);
    write(machine, DRIVER_FEATURES_SELECT, 1);
    write(machine, DRIVER_FEATURES, 1);
    write(machine, STATUS, 11);
    for (offset, value) in [(0x30, 0), (0x38, 16), (0x80, TABLE), (0x90, AVAILABLE), (0xa0, USED), (0x44, 1)]
    {
        write(machine, offset, value as u32);
    }
    write(machine, STATUS, 15);
}

/// Gives these pages to the balloon, as request number `number` from 0, and waits until it has them.
fn inflate(machine: &Machine, number: u16, pages: &[u32]) {
    let memory = &machine.memory;
    let bytes: Vec<u8> = pages.iter().flat_map(|page| page.to_le_bytes()).collect();
    memory.write_slice(&bytes, GuestAddress(NUMBERS)).unwrap();
    let descriptor = [NUMBERS.to_le_bytes(), (bytes.len() as u64).to_le_bytes()].concat();
    memory.write_slice(&descriptor, GuestAddress(TABLE)).unwrap();
    memory.write_obj(0_u16, GuestAddress(AVAILABLE + 4 + 2 * u64::from(number))).unwrap();
    memory.write_obj(number + 1, GuestAddress(AVAILABLE + 2)).unwrap();
    write(machine, 0x50, 0);
    let begun = std::time::Instant::now();
    while memory.read_obj::<u16>(GuestAddress(USED + 2)).unwrap() != number + 1 {
        assert!(begun.elapsed().as_secs() < 30, "the balloon does not answer");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn what_is_given_back_is_in_the_open_report_and_in_no_other() {
    let bench = with_balloon("size=16M");
    let machine = &bench.machine;
    let report = machine.free_pages().unwrap();
    let pages = PageSource::pages(&*machine.pages());
    let empty = || PageSet::empty(pages);
    let numbers = |set: &PageSet| set.iter().collect::<Vec<_>>();
    drive(machine);
    inflate(machine, 0, &[0x3000]);
    report.begin().unwrap();
    assert!(!report.is_awaited(), "this driver gives no hints");
    inflate(machine, 1, &[0x3002, 0x3001]);
    let (mut some, mut more) = (empty(), empty());
    report.peek(0x3002..0x3100, &mut some).unwrap();
    assert_eq!(numbers(&some), [0x3002]);
    inflate(machine, 2, &[0x3008]);
    report.peek(0..u32::MAX, &mut more).unwrap();
    assert_eq!(numbers(&more), [0x3001, 0x3002, 0x3008]);
    let mut all = empty();
    report.take(&mut all).unwrap();
    assert_eq!(numbers(&all), [0x3001, 0x3002, 0x3008]);
    inflate(machine, 3, &[0x3009]);
    let mut none = empty();
    report.take(&mut none).unwrap();
    report.peek(0..pages, &mut none).unwrap();
    assert!(none.is_empty(), "between a report and the next");
    report.begin().unwrap();
    report.take(&mut none).unwrap();
    assert!(none.is_empty());
    report.end().unwrap();
}

#[test]
fn pages_that_are_given_back_are_not_populated() {
    let bench = with_balloon("size=16M");
    let machine = &bench.machine;
    drive(machine);
    let is_touched = |page| super::bench::touched(machine).contains(page);
    machine.memory.write_slice(&[1; 4096], GuestAddress(0x300_0000)).unwrap();
    assert!(is_touched(0x3000));
    inflate(machine, 0, &[0x3000]);
    assert!(!is_touched(0x3000));
}

#[test]
fn the_size_is_what_the_guest_can_give() {
    let bench = with_balloon("size=16M");
    let machine = &bench.machine;
    assert_eq!(machine.balloon_bytes(), Some((0, 16 << 20)));
    machine.resize_balloon(64 << 20).unwrap();
    assert_eq!(machine.balloon_bytes(), Some((0, 64 << 20)));
    write(machine, CONFIG + 4, 7);
    assert_eq!(machine.counters()["balloon0"]["actual"], 7 << 12);
    let words = machine.resize_balloon((64 << 20) + 1).unwrap_err().to_string();
    assert!(words.contains("it may have 0 to 67108864"), "{words}");

    let devices = DeviceSet { balloon: Some("size=1G".parse().unwrap()), ..DeviceSet::default() };
    let refused = boot_devices("memory=8M", devices).err().unwrap();
    assert!(matches!(refused, MachineError::Config(ConfigError::BalloonTooLarge { .. })), "{refused}");
    let (none, _token) = boot_devices("memory=8M", DeviceSet::default()).unwrap();
    assert!(matches!(none.machine.resize_balloon(0), Err(MachineError::NoBalloon)));
    assert!(none.machine.free_pages().is_none() && none.machine.counters().is_empty());
}
