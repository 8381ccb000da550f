//! What the Linux guest itself says of a run.
//!
//! Its clock is judged by the times at which its lines were heard: a line is heard late now and then, but never early,
//! so the smallest lag of several lines is what its clock is off by.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::stream::Line;

/// One heartbeat of the Linux guest, and when it was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct LinuxBeat {
    /// Number of the heartbeat, from 1.
    pub sequence: u64,
    /// Seconds since the guest's kernel started.
    pub uptime: f64,
    /// The guest's wall clock, in seconds since 1970.
    pub date: f64,
    /// CPUs that went on since the last heartbeat.
    pub cpus: u64,
    /// Pages written.
    pub pages: u64,
    /// Pages checked.
    pub checked: u64,
    /// Computations with the right result.
    pub sums: u64,
    /// Whatever was wrong.
    pub bad: u64,
    /// Longest gap since the last heartbeat.
    pub gap: Duration,
    /// Bytes read from its random number generator.
    pub rng_bytes: u64,
    /// When the line was heard, in seconds since 1970.
    pub heard: f64,
}

impl LinuxBeat {
    /// Reads a line; `None` if it is no whole heartbeat.
    #[must_use]
    pub fn parse(line: &Line) -> Option<Self> {
        let text = line.text.strip_prefix("linux: ")?;
        let value = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| value(name)?.parse::<u64>().ok();
        Some(Self {
            sequence: number("beat")?,
            uptime: value("uptime")?.strip_suffix('s')?.parse().ok()?,
            date: value("date")?.parse().ok()?,
            cpus: number("cpus")?,
            pages: number("pages")?,
            checked: number("checked")?,
            sums: number("sums")?,
            bad: number("bad")?,
            gap: Duration::from_micros(number("gap_us")?),
            rng_bytes: number("rng_bytes")?,
            heard: line.at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64(),
        })
    }
}

/// How far the wall clock of a guest may be off after a move from what it was off before.
pub const CLOCK_SLACK_S: f64 = 0.5;
/// How far it may be off at all: it is set from a clock that shows whole seconds.
pub const CLOCK_OFF_S: f64 = 2.0;

/// A guest that came to no harm.
#[derive(Clone, Debug)]
pub struct Unharmed {
    /// Its heartbeats, from the first, without a hole.
    pub beats: Vec<LinuxBeat>,
    /// The longest gap from the heartbeat on during which it moved: a thread that finds out late tells later.
    pub moving_gap: Duration,
    /// What its wall clock was late by before the move and after it, in seconds.
    pub late_s: (f64, f64),
}

/// What is wrong with a guest.
#[derive(Clone, Debug, PartialEq)]
pub enum Harm {
    /// It came to harm.
    Done(String),
    /// Something has not gone on since the move, by now: a guest that is short of CPU time needs longer, a dead one
    /// never shows it.
    NotYet(String),
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Done(why) | Self::NotYet(why)) = self;
        f.write_str(why)
    }
}

/// Whether each of `cpus` CPUs has been seen at work, at least once.
#[must_use]
pub fn all_at_work(lines: &[Line], cpus: u64) -> bool {
    lines.iter().filter_map(LinuxBeat::parse).any(|beat| beat.cpus == cpus)
}

/// Judges the lines of a guest with `cpus` CPUs that moved after the first `moved_after` of them.
///
/// # Errors
/// The first harm.
pub fn judge(lines: &[Line], moved_after: usize, cpus: u64) -> Result<Unharmed, Harm> {
    let mut beats: Vec<LinuxBeat> = Vec::new();
    let mut beats_before = 0;
    for (number, line) in lines.iter().enumerate() {
        if line.text.contains("linux: BAD")
            || line.text.contains("linux: ERROR")
            || line.text.contains("Kernel panic")
        {
            return Err(Harm::Done(format!("the guest said: {}", line.text)));
        }
        let Some(beat) = LinuxBeat::parse(line) else { continue };
        follows(beats.last(), &beat).map_err(|why| Harm::Done(format!("{why}: {}", line.text)))?;
        beats.push(beat);
        beats_before += usize::from(number < moved_after);
    }
    let (before, after) = beats.split_at(beats_before);
    let (Some(last_before), Some(last)) = (before.last(), after.last()) else {
        let why = format!("{} heartbeats before the move and {} after it", before.len(), after.len());
        return Err(Harm::NotYet(why));
    };
    // What was counted at the source went on at the target.
    for (what, there, here) in [
        ("random bytes", last_before.rng_bytes, last.rng_bytes),
        ("pages", last_before.pages, last.pages),
        ("checks", last_before.checked, last.checked),
        ("sums", last_before.sums, last.sums),
    ] {
        if here <= there {
            let why = format!("{what} did not go on after the move: {there} before it, {here} at the end");
            return Err(Harm::NotYet(why));
        }
    }
    for (when, beats) in [("before", before), ("after", after)] {
        // One that is busy for a whole heartbeat is not dead; one that is dead is never counted.
        let most = beats.iter().map(|beat| beat.cpus).max().unwrap_or(0);
        if most != cpus {
            return Err(Harm::NotYet(format!("{most} of {cpus} CPUs went on {when} the move")));
        }
    }
    let late_s = clock(before, after).map_err(Harm::NotYet)?;
    let moving_gap = after.iter().map(|beat| beat.gap).max().unwrap_or_default();
    Ok(Unharmed { beats, moving_gap, late_s })
}

fn follows(before: Option<&LinuxBeat>, beat: &LinuxBeat) -> Result<(), String> {
    if beat.bad != 0 {
        return Err(format!("{} things were wrong", beat.bad));
    }
    let Some(before) = before else {
        return if beat.sequence == 1 { Ok(()) } else { Err("the first heartbeat is missing".into()) };
    };
    if beat.sequence != before.sequence + 1 {
        return Err(format!("heartbeat {} after heartbeat {}", beat.sequence, before.sequence));
    }
    // Two that were due while the guest had no CPU come at once; its uptime counts hundredths.
    if beat.uptime < before.uptime || beat.date < before.date {
        return Err("a clock went back".into());
    }
    Ok(())
}

/// The wall clock: about right, and as right after the move as before it.
fn clock(before: &[LinuxBeat], after: &[LinuxBeat]) -> Result<(f64, f64), String> {
    let lag =
        |beats: &[LinuxBeat]| beats.iter().map(|beat| beat.heard - beat.date).fold(f64::INFINITY, f64::min);
    let (before, after) = (lag(before), lag(after));
    if before.abs() > CLOCK_OFF_S || (after - before).abs() > CLOCK_SLACK_S {
        return Err(format!(
            "the wall clock is {before:.3} s late before the move and {after:.3} s after it"
        ));
    }
    Ok((before, after))
}

/// Bits of EFLAGS that are zero on every x86 CPU.
const RESERVED_FLAGS: u32 = !0x3f_7fd7;

/// EFLAGS of a guest's own oops that no CPU can have had: what emulates the CPU has spoilt them, and the guest died of
/// it. QEMU's software emulation of SVM does so once in a great while, with or without a migration.
#[must_use]
pub fn impossible_flags(console: &str) -> Option<u32> {
    let words = console.split("EFLAGS: ").skip(1);
    let mut flags = words.filter_map(|rest| u32::from_str_radix(rest.get(..8)?, 16).ok());
    flags.find(|flags| flags & RESERVED_FLAGS != 0)
}
