//! From seconds to a date and back, and how the clock's registers write a date down.
//!
//! Pure. The proleptic Gregorian calendar in UTC, in whole seconds since 1970-01-01; the arithmetic on eras of
//! 400 years (146,097 days) needs no tables and no loops. Neighbour: [`super`], the device.

/// Register B, bit 2: numbers are binary, not BCD.
pub const BINARY: u8 = 1 << 2;
/// Register B, bit 1: hours count to 24, not to 12.
pub const HOURS_24: u8 = 1 << 1;
/// In 12-hour mode, the bit of the hour register that says "afternoon".
const PM: u8 = 0x80;

const DAY_S: i64 = 86_400;
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01, where an era begins, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// The eight registers of a date in the order of [`Date::encode`].
pub const DATE_REGISTERS: usize = 8;

/// A date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Year of the calendar, 0 to 9999.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
}

impl Date {
    /// The date at `seconds` since 1970-01-01T00:00:00Z.
    pub fn at(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY_S) + EPOCH_DAYS;
        let of_day = seconds.rem_euclid(DAY_S);
        let era = days.div_euclid(ERA_DAYS);
        let day_of_era = days.rem_euclid(ERA_DAYS);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (ERA_DAYS - 1)) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months counted from March, so that the leap day is the last of the year.
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn seconds(&self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let from_march = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * ERA_DAYS + day_of_era - EPOCH_DAYS;
        days * DAY_S + self.hour * 3_600 + self.minute * 60 + self.second
    }

    /// Day of the week as the clock counts: 1 is Sunday.
    fn weekday(&self) -> i64 {
        // 1970-01-01 was a Thursday.
        (self.seconds().div_euclid(DAY_S) + 4).rem_euclid(7) + 1
    }

    /// Seconds, minutes, hours, weekday, day, month, year of the century, century: as the registers hold them
    /// under register B's `mode`.
    pub fn encode(&self, mode: u8) -> [u8; DATE_REGISTERS] {
        let hour = if mode & HOURS_24 != 0 {
            number(self.hour, mode)
        } else {
            number((self.hour + 11) % 12 + 1, mode) | if self.hour >= 12 { PM } else { 0 }
        };
        [
            number(self.second, mode),
            number(self.minute, mode),
            hour,
            number(self.weekday(), mode),
            number(self.day, mode),
            number(self.month, mode),
            number(self.year.rem_euclid(100), mode),
            number(self.year.div_euclid(100).rem_euclid(100), mode),
        ]
    }

    /// The date in `registers`, or `None` where no such date exists. The weekday follows from the rest and is
    /// not read.
    pub fn decode(registers: &[u8; DATE_REGISTERS], mode: u8) -> Option<Self> {
        let [second, minute, hour, _, day, month, year, century] = *registers;
        let hour = if mode & HOURS_24 != 0 {
            value(hour, mode)?
        } else {
            let twelve = value(hour & !PM, mode).filter(|hour| (1..=12).contains(hour))?;
            twelve % 12 + if hour & PM != 0 { 12 } else { 0 }
        };
        let date = Self {
            year: value(century, mode)? * 100 + value(year, mode)?,
            month: value(month, mode)?,
            day: value(day, mode)?,
            hour,
            minute: value(minute, mode)?,
            second: value(second, mode)?,
        };
        // A date that does not come back, the 31st of February, does not exist.
        ((1..=12).contains(&date.month) && Self::at(date.seconds()) == date).then_some(date)
    }
}

/// A number of at most two digits as a register holds it.
fn number(value: i64, mode: u8) -> u8 {
    // Below 100 by every caller's arithmetic.
    let value = value as u8;
    if mode & BINARY != 0 { value } else { value / 10 * 16 + value % 10 }
}

/// The number in a register, if it is one of at most two digits.
fn value(register: u8, mode: u8) -> Option<i64> {
    let value = if mode & BINARY != 0 {
        register
    } else if register & 0xf <= 9 {
        (register >> 4) * 10 + (register & 0xf)
    } else {
        return None;
    };
    (value <= 99).then_some(value.into())
}
