//! Dates and seconds agree with known pairs, and with each other everywhere else.

use proptest::prelude::*;

use super::calendar::{BINARY, Date, HOURS_24};

fn date(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Date {
    Date { year, month, day, hour, minute, second }
}

#[test]
fn known_dates() {
    for (seconds, expected) in [
        (0, date(1970, 1, 1, 0, 0, 0)),
        (951_782_399, date(2000, 2, 28, 23, 59, 59)),
        (951_782_400, date(2000, 2, 29, 0, 0, 0)),
        (951_868_800, date(2000, 3, 1, 0, 0, 0)),
        (1_709_210_096, date(2024, 2, 29, 12, 34, 56)),
        (4_107_542_400, date(2100, 3, 1, 0, 0, 0)),
        (-1, date(1969, 12, 31, 23, 59, 59)),
    ] {
        assert_eq!(Date::at(seconds), expected);
        assert_eq!(expected.seconds(), seconds);
    }
}

#[test]
fn registers_in_every_mode() {
    // A Thursday.
    let afternoon = date(2024, 2, 29, 13, 34, 56);
    assert_eq!(afternoon.encode(HOURS_24), [0x56, 0x34, 0x13, 5, 0x29, 2, 0x24, 0x20]);
    assert_eq!(afternoon.encode(HOURS_24 | BINARY), [56, 34, 13, 5, 29, 2, 24, 20]);
    assert_eq!(afternoon.encode(0)[2], 0x81);
    assert_eq!(date(2024, 2, 29, 0, 0, 0).encode(BINARY)[2], 12);
    assert_eq!(date(2024, 2, 29, 12, 0, 0).encode(BINARY)[2], 0x80 | 12);
}

#[test]
fn dates_that_do_not_exist_are_none() {
    let good = date(2023, 2, 28, 10, 0, 0).encode(HOURS_24);
    assert!(Date::decode(&good, HOURS_24).is_some());
    for (position, value) in
        [(0, 0x60), (1, 0x5a), (2, 0x24), (4, 0x29), (4, 0), (5, 0), (5, 0x13), (6, 0xff)]
    {
        let mut bad = good;
        bad[position] = value;
        assert_eq!(Date::decode(&bad, HOURS_24), None, "register {position} = {value:#x}");
    }
    let mut twelve = good;
    twelve[2] = 0;
    assert_eq!(Date::decode(&twelve, 0), None);
}

proptest! {
    #[test]
    fn every_date_comes_back_in_every_mode(seconds in 0..253_402_300_800_i64, mode in 0..8_u8) {
        let date = Date::at(seconds);
        prop_assert_eq!(date.seconds(), seconds);
        prop_assert_eq!(Date::decode(&date.encode(mode), mode), Some(date));
    }

    #[test]
    fn no_register_contents_panic(registers: [u8; 8], mode: u8) {
        if let Some(date) = Date::decode(&registers, mode) {
            prop_assert_eq!(Date::at(date.seconds()), date);
        }
    }
}
