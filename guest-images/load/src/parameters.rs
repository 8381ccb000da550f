//! The guest's command line: `name=value`, separated by blanks.
//!
//! One table names every parameter with its legal values, so that an error can say them. Knows nothing of what
//! the values do. Neighbours: `main` (acts on them), the host's library (checks a line before it boots one).

use crate::content::Content;

/// What the guest was asked to do; see `docs/load-guest.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Bytes to fill.
    pub memory_bytes: u64,
    /// What to fill them with.
    pub content: Content,
    /// Bytes that are rewritten again and again; all of them if absent.
    pub working_set_bytes: Option<u64>,
    /// Pages written in a second, by all vCPUs together.
    pub rate: u64,
    /// Which page comes next.
    pub pattern: Pattern,
    /// Bytes written per page.
    pub write_bytes: usize,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Seconds of work; 0 for no end.
    pub duration_s: u64,
    /// vCPUs to use; all that ACPI lists if absent.
    pub cpus: Option<usize>,
    /// vCPUs that write, the last of those in use; all if absent.
    pub hot_cpus: Option<usize>,
    /// What distinguishes this guest's content and order of pages from another's.
    pub seed: u64,
    /// How the guest ends.
    pub exit: Exit,
    /// Percent of each vCPU's time spent on checking memory that is not being rewritten.
    pub sweep_percent: u64,
    /// Microseconds that a vCPU with nothing to do sleeps before it looks again.
    pub sleep_us: u32,
    /// The damage that the guest does to itself a second after it became ready.
    pub damage: Damage,
}

/// The order in which pages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One after the other.
    Sequential,
    /// Any, equally likely.
    Uniform,
    /// Nine of ten writes go to a tenth of the pages.
    HotCold,
    /// Uniform, a second at twice the rate, a second of rest.
    Phases,
}

/// How the guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The debug-exit port; where there is none, a reset.
    Debug,
    /// A reset by the keyboard controller.
    Reset,
    /// Word of a panic by pvpanic, and a reset.
    Panic,
    /// A fault that cannot be delivered.
    Triple,
    /// Halted for ever, with interrupts closed.
    Halt,
}

/// A deliberate fault of memory, to see that the check finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// None.
    None,
    /// One bit of the last resident page.
    Bit,
    /// The first page as it was one write ago.
    Stale,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            memory_bytes: 16 << 20,
            content: Content::Text,
            working_set_bytes: None,
            rate: 0,
            pattern: Pattern::Uniform,
            write_bytes: 64,
            heartbeat_ms: 100,
            duration_s: 0,
            cpus: None,
            hot_cpus: None,
            seed: 1,
            exit: Exit::Debug,
            sweep_percent: 5,
            sleep_us: 1000,
            damage: Damage::None,
        }
    }
}

/// A part of the command line that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterError<'a> {
    /// The part.
    pub given: &'a str,
    /// What would be legal in its place.
    pub legal: &'static str,
}

impl core::fmt::Display for ParameterError<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{} is not a parameter that can be used; legal: {}", self.given, self.legal)
    }
}

/// Sets one parameter from its value, or says that the value is not legal.
type Set = fn(&mut Parameters, &str) -> Option<()>;

/// Every parameter: name, legal values, setter.
const TABLE: &[(&str, &str, Set)] = &[
    ("memory", "memory=SIZE, from 4K, with K, M or G", |to, value| {
        to.memory_bytes = size(value)?;
        Some(())
    }),
    ("content", "content=zero|text|random", |to, value| {
        to.content =
            choice(value, &[("zero", Content::Zero), ("text", Content::Text), ("random", Content::Random)])?;
        Some(())
    }),
    ("working_set", "working_set=SIZE, from 4K to memory, with K, M or G", |to, value| {
        to.working_set_bytes = Some(size(value)?);
        Some(())
    }),
    ("rate", "rate=PAGES a second, 0 to 100000000", |to, value| {
        to.rate = number(value, 0, 100_000_000)?;
        Some(())
    }),
    ("pattern", "pattern=sequential|uniform|hotcold|phases", |to, value| {
        let patterns = [
            ("sequential", Pattern::Sequential),
            ("uniform", Pattern::Uniform),
            ("hotcold", Pattern::HotCold),
            ("phases", Pattern::Phases),
        ];
        to.pattern = choice(value, &patterns)?;
        Some(())
    }),
    ("write", "write=BYTES per page, 8 to 4096, a multiple of 8", |to, value| {
        to.write_bytes = number(value, 8, 4096).filter(|bytes| bytes % 8 == 0)? as usize;
        Some(())
    }),
    ("heartbeat", "heartbeat=MILLISECONDS, 10 to 60000", |to, value| {
        to.heartbeat_ms = number(value, 10, 60_000)?;
        Some(())
    }),
    ("duration", "duration=SECONDS, 0 (no end) to 1000000", |to, value| {
        to.duration_s = number(value, 0, 1_000_000)?;
        Some(())
    }),
    ("cpus", "cpus=NUMBER, 1 to 16", |to, value| {
        to.cpus = Some(number(value, 1, 16)? as usize);
        Some(())
    }),
    ("hot_cpus", "hot_cpus=NUMBER, 1 to 16", |to, value| {
        to.hot_cpus = Some(number(value, 1, 16)? as usize);
        Some(())
    }),
    ("seed", "seed=NUMBER, 0 to 18446744073709551615", |to, value| {
        to.seed = number(value, 0, u64::MAX)?;
        Some(())
    }),
    ("exit", "exit=debug|reset|panic|triple|halt", |to, value| {
        let ways = [
            ("debug", Exit::Debug),
            ("reset", Exit::Reset),
            ("panic", Exit::Panic),
            ("triple", Exit::Triple),
            ("halt", Exit::Halt),
        ];
        to.exit = choice(value, &ways)?;
        Some(())
    }),
    ("sweep", "sweep=PERCENT of the time, 0 to 50", |to, value| {
        to.sweep_percent = number(value, 0, 50)?;
        Some(())
    }),
    ("sleep", "sleep=MICROSECONDS, 100 to 100000", |to, value| {
        to.sleep_us = number(value, 100, 100_000)? as u32;
        Some(())
    }),
    ("damage", "damage=none|bit|stale", |to, value| {
        to.damage = choice(value, &[("none", Damage::None), ("bit", Damage::Bit), ("stale", Damage::Stale)])?;
        Some(())
    }),
];

/// Parameters of kernels that VMMs add of their own accord; they mean nothing here.
const IGNORED: &[&str] =
    &["console", "earlycon", "panic", "pci", "reboot", "ro", "root", "rw", "virtio_mmio.device"];

const NAMES: &str = "memory, content, working_set, rate, pattern, write, heartbeat, duration, cpus, hot_cpus, \
                     seed, exit, sweep, sleep, damage, each as name=value";

impl Parameters {
    /// Reads a command line.
    ///
    /// # Errors
    /// The first part that is unknown, malformed or out of range, with what is legal.
    pub fn parse(line: &str) -> Result<Self, ParameterError<'_>> {
        let mut parameters = Self::default();
        for given in line.split_ascii_whitespace() {
            let (name, value) = given.split_once('=').unwrap_or((given, ""));
            if IGNORED.contains(&name) {
                continue;
            }
            let unknown = ParameterError { given, legal: NAMES };
            let (_, legal, set) = TABLE.iter().find(|row| row.0 == name).ok_or(unknown)?;
            set(&mut parameters, value).ok_or(ParameterError { given, legal })?;
        }
        Ok(parameters)
    }
}

fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|choice| choice.0 == value).map(|choice| choice.1)
}

fn number(value: &str, least: u64, most: u64) -> Option<u64> {
    value.parse().ok().filter(|number| (least..=most).contains(number))
}

/// A size in bytes: a whole number of at least a page, with K, M or G behind it.
fn size(value: &str) -> Option<u64> {
    let shift = match value.as_bytes().last()? {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => 0,
    };
    let digits = if shift == 0 { value } else { &value[..value.len() - 1] };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| (4096..=1 << 40).contains(bytes))
}
