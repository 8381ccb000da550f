//! The load guest as both contestants boot it, and its console.

use std::{
    io::{BufRead, BufReader, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use guest_images::{Heartbeat, LoadLine};

/// What the guest is to do.
pub struct Workload {
    pub memory_mib: u32,
    pub resident_mib: u32,
    pub working_set_mib: u32,
    /// Pages written a second.
    pub rate: u32,
}

impl Workload {
    /// Its command line.
    pub fn command_line(&self) -> String {
        format!(
            "memory={}M content=text working_set={}M rate={}",
            self.resident_mib, self.working_set_mib, self.rate
        )
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "guest of {} MiB, {} MiB of text, {} pages/s written over {} MiB",
            self.memory_mib, self.resident_mib, self.rate, self.working_set_mib
        )
    }
}

/// One migration, as its VMM and as its guest saw it.
pub struct Move {
    pub total: Duration,
    pub downtime: Duration,
    pub gap: Duration,
    pub wire_bytes: f64,
}

/// A guest's console, read on a thread of its own.
pub struct Console(Receiver<LoadLine>);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Console {
    pub fn of(out: impl Read + Send + 'static) -> Self {
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line);
                if let Some(line) = LoadLine::parse(&text)
                    && send.send(line).is_err()
                {
                    return;
                }
            }
        });
        Self(lines)
    }

    fn line(&self) -> Result<LoadLine> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("the guest has been silent for {} s", PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("the guest's console has ended"),
        }
    }

    /// Waits for READY.
    pub fn ready(&self) -> Result<Instant> {
        while !matches!(self.line()?, LoadLine::Ready) {}
        Ok(Instant::now())
    }

    /// The next heartbeats, all of them good.
    pub fn beats(&self, count: usize) -> Result<Vec<Heartbeat>> {
        let mut beats = vec![];
        while beats.len() < count {
            if let LoadLine::Heartbeat(beat) = self.line()? {
                if beat.bad != 0 {
                    bail!("the guest found {} wrong pages", beat.bad);
                }
                beats.push(beat);
            }
        }
        Ok(beats)
    }

    /// The longest gap among the heartbeats that are already here and the next `more`.
    pub fn longest_gap(&self, more: usize) -> Result<Duration> {
        let here = self.0.try_iter().filter_map(|line| match line {
            LoadLine::Heartbeat(beat) => Some(beat.gap),
            _ => None,
        });
        let here = here.max().unwrap_or_default();
        Ok(self.beats(more)?.iter().map(|beat| beat.gap).max().unwrap_or_default().max(here))
    }
}
