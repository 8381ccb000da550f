//! What comes over the second serial port: the kernel's console, and the lines of the init, which begin with the nonce
//! of this run. Bounded, whatever is printed there.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Read},
    sync::OnceLock,
    time::Instant,
};

use anyhow::{Context, Result};

/// Longest line that is looked at; longer ones are cut into pieces.
const LINE_BYTES: u64 = 1024;
/// Lines of the console that are kept for an error message.
const KEPT_LINES: usize = 60;

/// A word that nobody inside can know beforehand.
pub(super) fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What has been heard so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The exit code of the command.
    pub(super) code: Option<u8>,
    /// What the init could not do, in its words.
    pub(super) failed: Vec<String>,
    /// The last lines of the kernel's console.
    pub(super) console: VecDeque<String>,
}

impl Heard {
    /// Listens until the port is closed. `up` is set when the nested host is up, for those who wait meanwhile.
    pub(super) fn listen(port: impl Read, nonce: &str, up: &OnceLock<Instant>) -> Self {
        let mut heard = Self::default();
        let mut reader = BufReader::new(port);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(1..) => heard.take(String::from_utf8_lossy(&line).trim(), nonce, up),
                // An error is a machine that went away, as is the end.
                Ok(0) | Err(_) => return heard,
            }
        }
    }

    fn take(&mut self, line: &str, nonce: &str, up: &OnceLock<Instant>) {
        let Some(words) = line.strip_prefix(nonce).map(str::trim) else {
            if self.console.len() == KEPT_LINES {
                self.console.pop_front();
            }
            return self.console.push_back(line.to_owned());
        };
        match words.split_once(' ').unwrap_or((words, "")) {
            ("up", _) => drop(up.get_or_init(Instant::now)),
            ("exit", code) => self.code = self.code.or(code.parse().ok()),
            ("failed", what) if self.failed.len() < KEPT_LINES => self.failed.push(what.to_owned()),
            _ => {}
        }
    }

    /// The console for an error message.
    pub(super) fn console_text(&self) -> String {
        let lines: Vec<&str> = self.console.iter().map(String::as_str).collect();
        if lines.is_empty() { "(its console is empty)".to_owned() } else { lines.join("\n") }
    }
}
