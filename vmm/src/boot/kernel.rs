//! What is booted, as users name it: `builtin:load`, or a file. Knows nothing of what is in it.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The name of the guest inside this program.
const BUILTIN_LOAD: &str = "builtin:load";

/// What is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// A kernel inside this program: `builtin:load`.
    Builtin(&'static [u8]),
    /// A kernel in a file.
    File(PathBuf),
}

impl FromStr for Kernel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("builtin:") {
            Some("load") => Ok(Self::Builtin(guest_images::LOAD_ELF)),
            Some(other) => Err(format!("there is no builtin guest '{other}'; there is {BUILTIN_LOAD}")),
            None if text.is_empty() => Err("a kernel's path is missing".into()),
            None => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(_) => f.write_str(BUILTIN_LOAD),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Serialize for Kernel {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Kernel {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}
