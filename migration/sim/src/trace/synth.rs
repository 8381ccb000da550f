//! Traces that are made up: the writes of a [`Workload`], interval by interval, and the grammar by which people name one.
//!
//! `uniform,rate=50000,working_set=128M`: a pattern and its parameters. A rate is of page writes per second of guest time.

use std::time::Duration;

use godwit_migration::{limits::PAGE_BYTES, page::PageSet};

use super::{About, Content, Trace};
use crate::workload::{HotCold, Idle, Phases, Sequential, Uniform, Workload};

/// The rate that `unlimited` stands for: what one vCPU of some years writes when it does nothing else.
const UNLIMITED: f64 = 2e6;
/// Length of a made-up trace, and of its intervals.
pub const LENGTH: Duration = Duration::from_secs(10);
/// Interval of a made-up trace.
pub const INTERVAL: Duration = Duration::from_millis(10);

/// A pattern of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// None.
    Idle,
    /// Over the working set, again and again.
    Sequential,
    /// Anywhere in the working set.
    Uniform,
    /// Nine of ten writes to a tenth of the working set.
    Hot,
    /// Uniform at twice the rate, hot over half of the set, and rest, by turns.
    Phases,
}

/// All patterns, by name.
pub const PATTERNS: [(&str, Pattern); 5] = [
    ("idle", Pattern::Idle),
    ("sequential", Pattern::Sequential),
    ("uniform", Pattern::Uniform),
    ("hot", Pattern::Hot),
    ("phases", Pattern::Phases),
];

/// A guest and what it does, to be made a trace of.
#[derive(Clone, Debug, PartialEq)]
pub struct Synth {
    /// As a user wrote it.
    pub name: String,
    /// The pattern.
    pub pattern: Pattern,
    /// Writes per second, of each vCPU that writes.
    pub rate: f64,
    /// Bytes that are written, over all vCPUs.
    pub working_set: u64,
    /// Time of a turn of `phases`.
    pub turn: Duration,
    /// vCPUs.
    pub vcpus: u8,
    /// Of these, how many write; each has its part of the working set.
    pub writers: u8,
    /// What the pages hold.
    pub content: Content,
    /// Seed of what is random.
    pub seed: u64,
    /// Guest time.
    pub length: Duration,
    /// Length of an interval.
    pub interval: Duration,
}

impl Synth {
    /// Reads `pattern,parameter=value,…`.
    ///
    /// # Errors
    /// A sentence that names what is wrong and what may stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split(',').map(str::trim);
        let pattern = words.next().unwrap_or_default();
        let (_, pattern) = PATTERNS.into_iter().find(|(name, _)| *name == pattern).ok_or_else(|| {
            format!(
                "there is no workload '{pattern}'; there are: {}",
                PATTERNS.map(|(name, _)| name).join(", ")
            )
        })?;
        let mut synth = Self {
            name: text.into(),
            pattern,
            rate: 50_000.0,
            working_set: 128 << 20,
            turn: Duration::from_secs(2),
            vcpus: 1,
            writers: 1,
            content: Content::default(),
            seed: 1,
            length: LENGTH,
            interval: INTERVAL,
        };
        words.filter(|word| !word.is_empty()).try_for_each(|word| synth.set(word))?;
        if synth.writers > synth.vcpus {
            return Err(format!("'writers' is {}; there are {} vCPUs", synth.writers, synth.vcpus));
        }
        Ok(synth)
    }

    fn set(&mut self, word: &str) -> Result<(), String> {
        let (name, text) = word
            .split_once('=')
            .ok_or_else(|| format!("'{word}' follows a workload; only parameter=value may"))?;
        let wrong = |what: &str| format!("'{name}' is '{text}'; it must be {what}");
        let number = |least: f64, most: f64, what: &str| {
            text.parse::<f64>().ok().filter(|n| (least..=most).contains(n)).ok_or_else(|| wrong(what))
        };
        match name {
            "rate" if text == "unlimited" => self.rate = UNLIMITED,
            "rate" => self.rate = number(0.0, 1e8, "writes per second from 0 to 100000000, or 'unlimited'")?,
            "working_set" => {
                self.working_set = size(text)
                    .filter(|bytes| (PAGE_BYTES as u64..=1 << 40).contains(bytes))
                    .ok_or_else(|| wrong("a size from 4K to 1024G, such as 128M"))?;
            }
            "turn" => self.turn = Duration::from_secs_f64(number(0.01, 3600.0, "seconds from 0.01 to 3600")?),
            "vcpus" => self.vcpus = number(1.0, 16.0, "a whole number from 1 to 16")? as u8,
            "writers" => self.writers = number(1.0, 16.0, "a whole number from 1 to 16")? as u8,
            "seed" => self.seed = text.parse().map_err(|_| wrong("a whole number"))?,
            "zero_share" => self.content.zero_share = number(0.0, 1.0, "a number from 0 to 1")?,
            "ratio" => self.content.ratio = number(1.0, 4096.0, "a number from 1 to 4096")?,
            "delta_ratio" => self.content.delta_ratio = number(1.0, 4096.0, "a number from 1 to 4096")?,
            _ => {
                return Err(format!(
                    "a workload has no parameter '{name}'; it has rate, working_set, turn, vcpus, writers, seed, \
                     zero_share, ratio, delta_ratio"
                ));
            }
        }
        Ok(())
    }

    /// The trace of a guest of `pages` pages, of which the first `resident` have content. The working set begins at
    /// the first page and ends with the guest at the latest.
    ///
    /// # Errors
    /// A guest, length or interval beyond the limits of a trace, by name.
    pub fn trace(&self, pages: u32, resident: u32) -> Result<Trace, String> {
        let mut with_content = PageSet::empty(pages);
        with_content.insert_range(0..resident.min(pages));
        let about = About {
            guest: "made up".into(),
            workload: self.name.clone(),
            vcpus: self.vcpus,
            writers: self.writers,
            content: self.content,
        };
        let mut trace = Trace::new(about, self.interval, with_content)?;
        let intervals = (self.length.as_nanos() / self.interval.as_nanos()).max(1);
        if intervals > u128::from(super::file::MAX_INTERVALS) {
            return Err(format!(
                "'length' is {:?}; with intervals of {:?} there are at most {}",
                self.length,
                self.interval,
                super::file::MAX_INTERVALS
            ));
        }
        let set = u32::try_from(self.working_set / PAGE_BYTES as u64).unwrap_or(u32::MAX).clamp(1, pages);
        let part = (set / u32::from(self.writers)).max(1);
        let mut writers: Vec<_> = (0..self.writers).map(|n| self.writer(u32::from(n) * part, part)).collect();
        let mut at = Duration::ZERO;
        for _ in 0..intervals {
            let mut dirty = PageSet::empty(pages);
            for writer in &mut writers {
                writer.run(at, at + self.interval, &mut |page| {
                    if page < pages {
                        dirty.insert(page);
                    }
                });
            }
            trace.push(&dirty);
            at += self.interval;
        }
        Ok(trace)
    }

    /// What one vCPU writes, to `count` pages from `first` on.
    fn writer(&self, first: u32, count: u32) -> Box<dyn Workload> {
        let all = first..first + count;
        let hot = first..first + (count / 10).max(1);
        let seed = self.seed.wrapping_add(u64::from(first));
        match self.pattern {
            Pattern::Idle => Box::new(Idle),
            Pattern::Sequential => Box::new(Sequential::new(all, self.rate)),
            Pattern::Uniform => Box::new(Uniform::new(all, self.rate, seed)),
            Pattern::Hot => Box::new(HotCold::new(hot, all, 0.9, self.rate, seed)),
            Pattern::Phases => Box::new(Phases::new(vec![
                (self.turn, Box::new(Uniform::new(all.clone(), self.rate * 2.0, seed))),
                (
                    self.turn,
                    Box::new(HotCold::new(hot, first..first + (count / 2).max(1), 0.9, self.rate, seed)),
                ),
                (self.turn, Box::new(Idle)),
            ])),
        }
    }
}

/// A size as people write it: bytes, or with K, M or G.
fn size(text: &str) -> Option<u64> {
    let (number, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}
