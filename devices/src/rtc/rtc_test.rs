//! The clock shows the host's time, or what the guest has set, here and after a move.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use godwit_state::Save;

use super::{
    REGISTER_A, REGISTER_B, REGISTER_C, REGISTER_D, RTC_CENTURY_INDEX, Rtc, SET, UPDATE_ENDED,
    UPDATE_IN_PROGRESS, VALID,
};
use crate::BytePorts;

/// A host's wall clock that the test moves.
#[derive(Clone)]
struct Host(Arc<Mutex<Duration>>);

impl Host {
    fn at(seconds: u64) -> Self {
        Self(Arc::new(Mutex::new(Duration::from_secs(seconds))))
    }

    fn wait(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }

    fn rtc(&self) -> Rtc {
        let host = self.clone();
        Rtc::new("rtc", Box::new(move || SystemTime::UNIX_EPOCH + *host.0.lock().unwrap()))
    }
}

fn read(rtc: &mut Rtc, index: u8) -> u8 {
    rtc.write_byte(0, index);
    rtc.read_byte(1)
}

fn write(rtc: &mut Rtc, index: u8, value: u8) {
    rtc.write_byte(0, index);
    rtc.write_byte(1, value);
}

/// Century, year, month, day, hour, minute, second.
fn shown(rtc: &mut Rtc) -> [u8; 7] {
    [RTC_CENTURY_INDEX, 9, 8, 7, 4, 2, 0].map(|index| read(rtc, index))
}

/// Sets the clock the way Linux does: updates halted, every register written, updates on.
fn set(rtc: &mut Rtc, values: [u8; 7]) {
    let mode = read(rtc, REGISTER_B);
    write(rtc, REGISTER_B, mode | SET);
    for (index, value) in [RTC_CENTURY_INDEX, 9, 8, 7, 4, 2, 0].into_iter().zip(values) {
        write(rtc, index, value);
    }
    write(rtc, REGISTER_B, mode);
}

/// 2024-02-29 12:34:56 UTC.
const LEAP_DAY: u64 = 1_709_210_096;
const LEAP_DAY_SHOWN: [u8; 7] = [0x20, 0x24, 0x02, 0x29, 0x12, 0x34, 0x56];

#[test]
fn it_shows_the_hosts_time_as_it_passes() {
    let host = Host::at(LEAP_DAY);
    let mut rtc = host.rtc();
    assert_eq!(shown(&mut rtc), LEAP_DAY_SHOWN);
    host.wait(Duration::from_secs(86_400));
    assert_eq!(shown(&mut rtc), [0x20, 0x24, 0x03, 0x01, 0x12, 0x34, 0x56]);
    write(&mut rtc, REGISTER_B, 0x06);
    assert_eq!(shown(&mut rtc), [20, 24, 3, 1, 12, 34, 56]);
}

#[test]
fn a_guest_that_sets_the_time_keeps_its_offset_on_another_host() {
    let host = Host::at(LEAP_DAY);
    let mut source = host.rtc();
    set(&mut source, [0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58]);
    assert_eq!(shown(&mut source), [0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58]);
    let later = Host::at(LEAP_DAY + 2);
    let mut target = later.rtc();
    target.restore(&source.save().unwrap()).unwrap();
    assert_eq!(shown(&mut target), [0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00]);
}

#[test]
fn while_the_guest_sets_the_time_the_clock_stands_still_even_across_a_move() {
    let host = Host::at(LEAP_DAY);
    let mut source = host.rtc();
    write(&mut source, REGISTER_B, SET | 0x02);
    write(&mut source, 0, 0x11);
    let mut target = host.rtc();
    target.restore(&source.save().unwrap()).unwrap();
    host.wait(Duration::from_secs(100));
    write(&mut target, 2, 0x22);
    assert_eq!(shown(&mut target)[4..], [0x12, 0x22, 0x11]);
    write(&mut target, REGISTER_B, 0x02);
    host.wait(Duration::from_secs(3));
    assert_eq!(shown(&mut target)[4..], [0x12, 0x22, 0x14]);
}

#[test]
fn a_date_that_does_not_exist_changes_nothing() {
    let mut rtc = Host::at(LEAP_DAY).rtc();
    set(&mut rtc, [0x20, 0x23, 0x02, 0x29, 0x12, 0x34, 0x56]);
    assert_eq!(shown(&mut rtc), LEAP_DAY_SHOWN);
    write(&mut rtc, 8, 0x99);
    assert_eq!(shown(&mut rtc), LEAP_DAY_SHOWN);
}

#[test]
fn the_update_bit_is_up_just_before_each_second_and_never_stays() {
    let host = Host::at(LEAP_DAY);
    let mut rtc = host.rtc();
    let busy = |rtc: &mut Rtc| read(rtc, REGISTER_A) & UPDATE_IN_PROGRESS != 0;
    assert!(!busy(&mut rtc));
    host.wait(Duration::from_micros(999_800));
    assert!(busy(&mut rtc));
    write(&mut rtc, REGISTER_B, SET);
    assert!(!busy(&mut rtc));
    write(&mut rtc, REGISTER_B, 0);
    host.wait(Duration::from_micros(200));
    assert!(!busy(&mut rtc));
}

#[test]
fn register_c_says_once_that_a_second_has_passed() {
    let host = Host::at(LEAP_DAY);
    let mut rtc = host.rtc();
    read(&mut rtc, REGISTER_C);
    assert_eq!(read(&mut rtc, REGISTER_C), 0);
    host.wait(Duration::from_secs(1));
    assert_eq!([(); 2].map(|()| read(&mut rtc, REGISTER_C)), [UPDATE_ENDED, 0]);
}

#[test]
fn the_battery_is_good_and_memory_keeps_what_is_written() {
    let host = Host::at(0);
    let mut source = host.rtc();
    assert_eq!(read(&mut source, REGISTER_D), VALID);
    write(&mut source, REGISTER_D, 0);
    write(&mut source, 0x7f, 0xa5);
    // The index port's top bit is not part of the index.
    write(&mut source, 0x80 | 0x40, 0x5a);
    let mut target = host.rtc();
    target.restore(&source.save().unwrap()).unwrap();
    assert_eq!([0x7f, 0x40, REGISTER_D].map(|index| read(&mut target, index)), [0xa5, 0x5a, VALID]);
}

#[test]
fn states_that_cannot_be_are_refused_in_words() {
    let good = Host::at(LEAP_DAY).rtc().save().unwrap();
    let refused = |change: &dyn Fn(&mut super::RtcState)| {
        let mut bad = good.clone();
        change(&mut bad);
        Host::at(0).rtc().restore(&bad).unwrap_err().to_string()
    };
    assert!(refused(&|s| s.cmos.truncate(127)).contains("127 bytes of memory"));
    assert!(refused(&|s| s.index = 0x80).contains("index 0x80"));
    assert!(refused(&|s| s.register_a |= UPDATE_IN_PROGRESS).contains("register A"));
    assert!(refused(&|s| s.held = Some([0; 8])).contains("register B"));
    assert!(refused(&|s| s.offset_s = i64::MIN).contains("offset"));
}
