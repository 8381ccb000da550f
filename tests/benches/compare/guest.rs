//! The load guest as both contestants boot it, and its console.

use std::{
    io::{BufRead, BufReader, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use guest_images::{Heartbeat, LoadLine};

/// What the guest is to do.
#[derive(Clone, Copy)]
pub struct Workload {
    pub memory_mib: u32,
    pub resident_mib: u32,
    pub working_set_mib: u32,
    /// Pages written a second.
    pub rate: u32,
    /// Bytes written to each.
    pub write: u32,
}

impl Workload {
    /// Its command line.
    pub fn command_line(&self) -> String {
        format!(
            "memory={}M content=text working_set={}M rate={} write={}",
            self.resident_mib, self.working_set_mib, self.rate, self.write
        )
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "guest of {} MiB, {} MiB of text, {} pages/s written over {} MiB, {} bytes of each",
            self.memory_mib, self.resident_mib, self.rate, self.working_set_mib, self.write
        )
    }
}

/// One migration, as its VMM and as its guest saw it.
pub struct Move {
    pub total: Duration,
    pub downtime: Duration,
    pub wire_bytes: f64,
    pub cpu: Duration,
    pub seen: Seen,
}

/// What the guest saw of a move.
pub struct Seen {
    /// The longest gap.
    pub gap: Duration,
    /// Pages written per second between the last heartbeat before the move and the first after it, as a share of those
    /// before; `None` for a guest that writes nothing.
    pub kept: Option<f64>,
}

/// A guest's console, read on a thread of its own.
pub struct Console(Receiver<LoadLine>);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

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

    /// The heartbeats that are already here.
    fn here(&self) -> Vec<Heartbeat> {
        let beats = self.0.try_iter().filter_map(|line| match line {
            LoadLine::Heartbeat(beat) => Some(beat),
            _ => None,
        });
        beats.collect()
    }

    /// A guest at work: `count` heartbeats, the last of which is now.
    pub fn at_work(&self, count: usize) -> Result<[Heartbeat; 2]> {
        let beats = self.beats(count)?;
        self.here();
        let last = self.beats(1)?;
        Ok([*beats.first().context("no heartbeat")?, *last.first().context("no heartbeat")?])
    }

    /// What the guest saw, who was at work `before` the move: the longest gap among what it said at the source since,
    /// and in the first `count` heartbeats at this, the target.
    pub fn seen(&self, before: [Heartbeat; 2], source: &Self, count: usize) -> Result<Seen> {
        let mut beats = source.here();
        let after = self.beats(count)?;
        beats.extend(&after);
        let gap = beats.iter().map(|beat| beat.gap).max().unwrap_or_default();
        let rate = |from: &Heartbeat, to: &Heartbeat| {
            (to.pages - from.pages) as f64 / to.time.saturating_sub(from.time).as_secs_f64()
        };
        let [first, last] = before;
        let calm = rate(&first, &last);
        let kept = after.first().filter(|_| calm > 0.0).map(|after| rate(&last, after) / calm);
        Ok(Seen { gap, kept })
    }
}
