//! What the load guest itself says of a run: the only witness that counts.
//!
//! The console of a guest that moved is the sum of the consoles of its processes: a line may begin in one and end in
//! the next.

use std::time::Duration;

use guest_images::{Heartbeat, LoadLine};

/// A guest that came to no harm.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its heartbeats, from the first, without a hole.
    pub beats: Vec<Heartbeat>,
}

impl Verdict {
    /// Judges the whole console of a guest.
    ///
    /// # Errors
    /// The first harm: a wrong page, a beat that is missing, out of order or said twice, a clock or a counter that
    /// went back, a fault.
    pub fn of(console: &str) -> Result<Self, String> {
        let mut beats: Vec<Heartbeat> = Vec::new();
        for line in console.lines() {
            match LoadLine::parse(line) {
                Some(LoadLine::Bad(_) | LoadLine::Failed(_)) => {
                    return Err(format!("the guest said: {line}"));
                }
                Some(LoadLine::Heartbeat(beat)) => {
                    follows(beats.last(), &beat).map_err(|why| format!("{why}: {line}"))?;
                    beats.push(beat);
                }
                // What is not the guest's, or a torn line, leaves a hole that the next beat shows.
                _ => {}
            }
        }
        if beats.is_empty() { Err(format!("no heartbeat in: {console}")) } else { Ok(Self { beats }) }
    }

    /// The longest time that the guest stood still.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        self.beats.iter().map(|beat| beat.gap).max().unwrap_or_default()
    }

    /// The last heartbeat.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn last(&self) -> &Heartbeat {
        self.beats.last().expect("a verdict has heartbeats")
    }
}

/// Whether `beat` can follow `before`.
fn follows(before: Option<&Heartbeat>, beat: &Heartbeat) -> Result<(), String> {
    if beat.bad != 0 {
        return Err(format!("{} wrong pages", beat.bad));
    }
    let Some(before) = before else {
        return if beat.sequence == 1 { Ok(()) } else { Err("the first heartbeat is missing".into()) };
    };
    if beat.sequence != before.sequence + 1 {
        return Err(format!("heartbeat {} after heartbeat {}", beat.sequence, before.sequence));
    }
    if beat.time <= before.time {
        return Err("the guest's clock did not go on".into());
    }
    if beat.pages < before.pages || beat.checked < before.checked {
        return Err("a counter went back".into());
    }
    Ok(())
}
