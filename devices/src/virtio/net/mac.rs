//! An Ethernet address.

use std::{fmt, io, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::sys::fill_random;

/// An Ethernet address, written `52:54:00:12:34:56`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

/// First byte: an address of several stations.
const GROUP: u8 = 1;
/// First byte: an address that no manufacturer gave.
const LOCAL: u8 = 2;

impl Mac {
    /// A random address of one's own choice.
    ///
    /// # Errors
    /// Those of getrandom(2).
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 6];
        fill_random(&mut bytes)?;
        bytes[0] = bytes[0] & !GROUP | LOCAL;
        Ok(Self(bytes))
    }

    /// Whether it can be the address of one station.
    #[must_use]
    pub fn is_of_one_station(&self) -> bool {
        self.0[0] & GROUP == 0 && self.0 != [0; 6]
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no address of a network card; it must be six bytes such as 52:54:00:12:34:56"
            )
        };
        let byte = |part: &str| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()).flatten();
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let mac = bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(wrong)?;
        if mac.is_of_one_station() {
            Ok(mac)
        } else {
            Err(format!(
                "'{text}' is not the address of one card: its first byte must be even, and not all zero"
            ))
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
