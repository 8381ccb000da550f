//! A page is in a report only if it was free after somebody asked for it.

use super::{
    Balloon,
    driver_test::{Driver, WRITE, device},
};
use crate::{Lifecycle, virtio::registers::INTERRUPT_CONFIG};
use godwit_state::Save;

const INFLATE: u32 = 0;
const HINTS: u32 = 3;
const REPORTS: u32 = 4;
/// Where the number of the report stands in the configuration space.
const COMMAND: u64 = 8;
const STOP: u32 = 0;
const DONE: u32 = 1;
const BLOCK: u64 = 0x20_0000;

fn asked() -> Driver {
    let driver = Driver::of("size=0");
    driver.host(Balloon::ask_free);
    driver
}

fn taken(driver: &Driver) -> Vec<std::ops::Range<u64>> {
    driver.host(Balloon::take_free)
}

fn awaited(driver: &Driver) -> bool {
    driver.host(|balloon| balloon.awaits_free())
}

#[test]
fn the_driver_answers_the_number_that_it_was_asked_with() {
    let mut driver = asked();
    assert_eq!((driver.interrupts(), driver.config(COMMAND)), (INTERRUPT_CONFIG, 2));
    assert!(awaited(&driver));
    driver.send_words(HINTS, &[2]);
    driver.give(HINTS, BLOCK, 0x2000);
    driver.give(HINTS, BLOCK + 0x2000, 0x1000);
    driver.give(HINTS, BLOCK - 0x1000, 0x1000);
    driver.give(HINTS, BLOCK + 0x8800, 0x2000);
    assert!(awaited(&driver));
    driver.send_words(HINTS, &[STOP]);
    assert!(!awaited(&driver));
    assert_eq!(driver.used(HINTS), 6);
    assert_eq!(taken(&driver), [BLOCK - 0x1000..BLOCK + 0x3000, BLOCK + 0x9000..BLOCK + 0xa000]);
    assert_eq!(taken(&driver), []);
}

#[test]
fn hints_leave_what_the_pages_hold() {
    let mut driver = asked();
    driver.fill(0x200..0x201);
    driver.send_words(HINTS, &[2]);
    driver.give(HINTS, BLOCK, 0x1000);
    assert!(driver.is_filled(0x200));
}

#[test]
fn what_was_told_before_or_for_an_older_report_is_of_no_use() {
    let mut driver = asked();
    driver.give(HINTS, BLOCK, 0x1000);
    assert_eq!(taken(&driver), [], "no number in front");
    driver.send_words(HINTS, &[2]);
    driver.give(HINTS, BLOCK, 0x1000);
    assert_eq!(taken(&driver), [], "the window is closed");

    driver.host(Balloon::ask_free);
    assert_eq!(driver.config(COMMAND), 3);
    driver.give(HINTS, BLOCK, 0x1000);
    driver.send_words(HINTS, &[STOP]);
    driver.send_words(HINTS, &[2]);
    driver.give(HINTS, BLOCK, 0x1000);
    assert!(awaited(&driver), "the end of the older one is not the end of this");
    driver.send_words(HINTS, &[3]);
    driver.give(HINTS, BLOCK + 0x1000, 0x1000);
    assert_eq!(taken(&driver), vec![BLOCK + 0x1000..BLOCK + 0x2000]);
}

#[test]
fn a_chain_may_hold_number_and_blocks() {
    let mut driver = asked();
    vm_memory::Bytes::write_obj(&driver.memory, 2_u32, vm_memory::GuestAddress(0x10_0000)).unwrap();
    driver.offer(HINTS, &[(0x10_0000, 4, 0), (BLOCK, 0x1000, WRITE)]);
    assert_eq!(taken(&driver), vec![BLOCK..BLOCK + 0x1000]);
    driver.send(HINTS, &[0; 5]);
    assert!(driver.needs_reset(), "a number has four bytes");
}

#[test]
fn what_is_given_back_while_the_window_is_open_is_free() {
    let mut driver = Driver::of("free_page_reporting=on");
    driver.send_words(INFLATE, &[0x200]);
    driver.give(REPORTS, BLOCK + 0x1000, 0x1000);
    driver.host(Balloon::ask_free);
    driver.send_words(INFLATE, &[0x203, 0x202]);
    driver.give(REPORTS, BLOCK + 0x6000, 0x1000);
    assert_eq!(taken(&driver), [0x20_2000..0x20_4000, BLOCK + 0x6000..BLOCK + 0x7000]);
    driver.send_words(INFLATE, &[0x208]);
    assert_eq!(taken(&driver), []);
}

#[test]
fn the_driver_gets_back_what_it_has_set_aside() {
    let mut driver = Driver::of("size=0");
    driver.host(Balloon::end_free);
    assert_eq!((driver.interrupts(), driver.config(COMMAND)), (0, STOP), "nobody had asked");
    driver.host(Balloon::ask_free);
    driver.send_words(HINTS, &[2]);
    driver.host(Balloon::end_free);
    driver.interrupts();
    assert_eq!((driver.config(COMMAND), awaited(&driver)), (DONE, false));
    driver.host(Balloon::ask_free);
    assert_eq!(driver.config(COMMAND), 3, "a number that it has not seen");
}

#[test]
fn a_report_is_over_where_the_guest_runs_on() {
    let mut source = asked();
    source.send_words(HINTS, &[2]);
    source.interrupts();
    source.device.lock().unwrap().pause();
    let saved = source.device.lock().unwrap().save().unwrap();
    let mut target = device("size=0", &source.memory, &source.irq);
    target.restore(&saved).unwrap();
    target.resume();
    let mut target = Driver::on(target, source.memory.clone(), source.irq.clone());
    target.turn();
    assert_eq!((target.interrupts(), target.config(COMMAND)), (INTERRUPT_CONFIG, DONE));
    assert_eq!(taken(&target), []);
    target.host(Balloon::ask_free);
    assert_eq!(target.config(COMMAND), 3);
}

#[test]
fn a_driver_without_hints_is_not_waited_for() {
    let mut driver = Driver::of("size=0");
    driver.write(crate::virtio::registers::STATUS, 0);
    driver.host(Balloon::ask_free);
    assert!(!awaited(&driver));
    driver.set_up();
    driver.turn();
    driver.send_words(INFLATE, &[0x200]);
    assert_eq!(taken(&driver), vec![BLOCK..BLOCK + 0x1000], "what it gives back counts all the same");
}

#[test]
fn a_report_can_be_looked_at_while_it_grows() {
    let mut driver = asked();
    driver.send_words(HINTS, &[2]);
    driver.give(HINTS, BLOCK, 0x1000);
    let more = |driver: &Driver| driver.device.lock().unwrap().device_mut().more_free();
    assert_eq!(more(&driver), vec![BLOCK..BLOCK + 0x1000]);
    assert_eq!(more(&driver), []);
    driver.give(HINTS, BLOCK + 0x1000, 0x1000);
    assert_eq!(taken(&driver), vec![BLOCK + 0x1000..BLOCK + 0x2000]);
}

#[test]
fn hints_are_asked_for_only_where_they_are_of_use() {
    for config in ["free_page_reporting=on", "free_page_hinting=off"] {
        let driver = Driver::of(config);
        driver.host(Balloon::ask_free);
        assert_eq!(
            (driver.interrupts(), driver.config(COMMAND), awaited(&driver)),
            (0, STOP, false),
            "{config}"
        );
    }
}
