//! The lines that the load guest prints, as values: what a test or a report asks of the guest itself.
//!
//! The guest's side is `load/src/report.rs`; the two change together. Anything that is not such a line is none of
//! this module's business: parsing returns `None` and never fails.

use std::time::Duration;

const PREFIX: &str = "load: ";

/// One line of the load guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadLine {
    /// Memory is filled and the work begins.
    Ready,
    /// Ten times a second, unless told otherwise.
    Heartbeat(Heartbeat),
    /// Memory did not hold what it should; the line as printed, without its prefix.
    Bad(String),
    /// A line that was typed into the console.
    Input(String),
    /// The asked duration is over.
    Done {
        /// Pages written in all.
        pages: u64,
        /// Pages that were found wrong.
        bad: u64,
    },
    /// The guest cannot go on (`ERROR`, `FAULT`, `PANIC`); the line as printed, without its prefix.
    Failed(String),
    /// Anything else that the guest says.
    Other(String),
}

/// What the guest has done and seen since it was ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Number of the heartbeat, from 1; the guest counts on through a migration.
    pub sequence: u64,
    /// The guest's time since it was ready, in whole milliseconds.
    pub time: Duration,
    /// Pages written in all.
    pub pages: u64,
    /// Longest time between two looks at the clock since the last heartbeat, on any vCPU: a downtime shows here.
    pub gap: Duration,
    /// Pages checked in all.
    pub checked: u64,
    /// Pages that were found wrong in all.
    pub bad: u64,
    /// How often every vCPU has checked all of its memory.
    pub sweeps: u64,
}

impl LoadLine {
    /// Reads one line of console output, with or without its end. `None` if it is not the load guest's.
    pub fn parse(line: &str) -> Option<Self> {
        let text = line.trim().strip_prefix(PREFIX)?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match word {
            "READY" => Self::Ready,
            "BAD" => Self::Bad(text.to_owned()),
            "input" => Self::Input(rest.to_owned()),
            "ERROR" | "FAULT" | "PANIC" => Self::Failed(text.to_owned()),
            "DONE" => match (field(rest, "pages"), field(rest, "bad")) {
                (Some(pages), Some(bad)) => Self::Done { pages, bad },
                _ => Self::Other(text.to_owned()),
            },
            _ => Heartbeat::from_fields(text).map_or_else(|| Self::Other(text.to_owned()), Self::Heartbeat),
        })
    }
}

impl Heartbeat {
    /// Reads one line of console output, with or without its end. `None` if it is not a whole heartbeat.
    pub fn parse(line: &str) -> Option<Self> {
        Self::from_fields(line.trim().strip_prefix(PREFIX)?)
    }

    fn from_fields(text: &str) -> Option<Self> {
        Some(Self {
            sequence: field(text, "beat")?,
            time: seconds(value(text, "t")?)?,
            pages: field(text, "pages")?,
            gap: Duration::from_micros(field(text, "gap_us")?),
            checked: field(text, "checked")?,
            bad: field(text, "bad")?,
            sweeps: field(text, "sweep")?,
        })
    }
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

fn field(text: &str, name: &str) -> Option<u64> {
    value(text, name)?.parse().ok()
}

/// Reads `12.345s`.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, thousandths) = text.strip_suffix('s')?.split_once('.')?;
    if thousandths.len() != 3 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    Some(Duration::from_millis(whole.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)?))
}
