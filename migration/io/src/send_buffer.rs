//! The parameters of a lane's send buffer: its size and its two marks.

use std::{fmt, str::FromStr};

/// Smallest and largest size, bytes a lane.
const SIZES: (u64, u64) = (256 << 10, 1 << 30);
/// The marks of Takantapeh 2019, percent of the size.
const LOW: u8 = 5;
const HIGH: u8 = 70;

/// A buffer between a lane and its socket: `SIZE[,low=PERCENT][,high=PERCENT]`, such as `8M,low=5,high=70`.
///
/// Below the low mark it collects, above it is drained while the lane goes on, above the high mark the lane waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendBuffer {
    bytes: u64,
    low: u8,
    high: u8,
}

impl SendBuffer {
    /// A buffer of `bytes` with marks at `low` and `high` percent.
    ///
    /// # Errors
    /// A sentence that names what cannot be, and the range.
    pub fn new(bytes: u64, low: u8, high: u8) -> Result<Self, String> {
        if !(SIZES.0..=SIZES.1).contains(&bytes) {
            return Err(format!(
                "a send buffer of {bytes} bytes cannot be; it has {} to {}",
                SIZES.0, SIZES.1
            ));
        }
        if high > 100 || low >= high {
            return Err(format!(
                "the marks of a send buffer are low={low} and high={high}; they are percents with low below high, \
                 at most 100"
            ));
        }
        Ok(Self { bytes, low, high })
    }

    pub(crate) fn bytes(self) -> usize {
        self.bytes as usize
    }

    pub(crate) fn low_bytes(self) -> usize {
        self.at(self.low)
    }

    pub(crate) fn high_bytes(self) -> usize {
        self.at(self.high)
    }

    fn at(self, percent: u8) -> usize {
        (self.bytes * u64::from(percent) / 100) as usize
    }
}

impl FromStr for SendBuffer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let size = parts.next().unwrap_or_default();
        let bytes = bytes(size).ok_or_else(|| {
            format!("'{size}' is no size of a send buffer; write SIZE[,low=PERCENT][,high=PERCENT], such as 8M,low=5,high=70")
        })?;
        let (mut low, mut high) = (LOW, HIGH);
        for part in parts {
            let percent = |value: &str| {
                value
                    .parse()
                    .map_err(|_| format!("'{part}': the mark must be a whole number of percent, 0 to 100"))
            };
            match part.split_once('=') {
                Some(("low", value)) => low = percent(value)?,
                Some(("high", value)) => high = percent(value)?,
                _ => {
                    return Err(format!(
                        "a send buffer has no '{part}'; after its size come low=PERCENT and high=PERCENT"
                    ));
                }
            }
        }
        Self::new(bytes, low, high)
    }
}

/// A whole number with K, M or G.
fn bytes(text: &str) -> Option<u64> {
    let (number, shift) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        _ => (text, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// As it is read.
impl fmt::Display for SendBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},low={},high={}", self.bytes, self.low, self.high)
    }
}
