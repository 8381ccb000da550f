//! What the user says of a port of the console device, in Cloud Hypervisor's words.

use std::{path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    SerialBackend,
    options::{OptionError, Options},
};

/// Longest name of a port; Linux makes a file name of it.
const NAME_BYTES: usize = 64;
/// Entries of each queue.
const QUEUE_SIZE: u16 = 64;
const KEYS: [&str; 3] = ["name", "file", "socket"];
/// What stands for a back end by itself.
const WORDS: [&str; 3] = ["tty", "null", "off"];

/// Where a port goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortMode {
    /// Standard input and output.
    Tty,
    /// A file, for output.
    File,
    /// A Unix socket.
    Socket,
    /// Nowhere.
    Null,
}

/// A port: a console, or one with a name. On the command line `tty`, `null`, `file=F` or `socket=F`, with `name=N` for one
/// with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortConfig {
    /// Its name, by which the guest finds it; a console has none. This field is godwit's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it goes.
    pub mode: PortMode,
    /// The file, for [`PortMode::File`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The socket, for [`PortMode::Socket`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

impl PortConfig {
    /// Most entries of each queue of a device with so many ports: two for each, and two for messages about them.
    #[must_use]
    pub fn queue_sizes(ports: usize) -> Vec<u16> {
        vec![QUEUE_SIZE; 2 * (ports + 1)]
    }

    /// Its back end.
    ///
    /// # Errors
    /// For a path that is not there, and for a name that cannot be.
    pub fn backend(&self) -> Result<SerialBackend, OptionError> {
        let missing =
            |key| OptionError::new(format!("a console port of mode '{key}' needs its path as '{key}'"));
        if let Some(name) = self.name.as_ref().filter(|name| !is_name(name)) {
            return Err(OptionError::new(format!(
                "'name' of a console port is '{}'; it must be 1 to {NAME_BYTES} letters, digits, '.', '-' and '_'",
                name.escape_debug()
            )));
        }
        match self.mode {
            PortMode::Tty if self.name.is_some() => Err(OptionError::new(
                "a console port with a name cannot be on the terminal; use socket=F or file=F",
            )),
            PortMode::Tty => Ok(SerialBackend::Stdio),
            PortMode::Null => Ok(SerialBackend::Null),
            PortMode::File => self.file.clone().map(SerialBackend::File).ok_or_else(|| missing("file")),
            PortMode::Socket => {
                self.socket.clone().map(SerialBackend::Socket).ok_or_else(|| missing("socket"))
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

impl FromStr for PortConfig {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let (words, keys): (Vec<&str>, Vec<&str>) = text.split(',').partition(|piece| WORDS.contains(piece));
        let keys = keys.join(",");
        let mut options = Options::parse("a console port", &KEYS, &keys)?;
        let name = options.text("name").map(str::to_owned);
        let (file, socket) = (options.path("file")?, options.path("socket")?);
        let mode = match (words.as_slice(), &file, &socket) {
            (["tty"], None, None) => PortMode::Tty,
            (["null" | "off"], None, None) => PortMode::Null,
            ([], Some(_), None) => PortMode::File,
            ([], None, Some(_)) => PortMode::Socket,
            _ => {
                return Err(OptionError::new(format!(
                    "a console port is one of tty, null, file=F and socket=F, not '{text}'"
                )));
            }
        };
        let config = Self { name, mode, file, socket };
        config.backend()?;
        Ok(config)
    }
}
