//! What the guest says it saw, from its heartbeats on a console.

use std::time::Duration;

use guest_images::{Heartbeat, LoadLine};
use serde::Serialize;

/// What one console told.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct View {
    /// Whether the guest said that its work begins.
    pub ready: bool,
    /// Heartbeats.
    pub beats: u64,
    /// Number of the first heartbeat, as the guest counts them.
    pub first_beat: Option<u64>,
    /// Number of the last.
    pub last_beat: Option<u64>,
    /// Pages that the guest had written by then.
    pub pages_written: u64,
    /// Pages that it had found to be wrong.
    pub bad: u64,
    /// The longest time that it missed between two looks at its clock.
    pub longest_gap_s: f64,
    /// The same over the first two heartbeats here: at the target these span the move, because a guest that was
    /// stopped while it printed a heartbeat tells of the stop in the next one.
    pub arrival_gap_s: Option<f64>,
    /// Lines by which the guest reported that something is wrong.
    pub complaints: Vec<String>,
}

/// Most complaints that are kept.
const MAX_COMPLAINTS: usize = 8;

/// One heartbeat of either guest.
struct Beat {
    sequence: u64,
    pages: u64,
    bad: u64,
    gap: Duration,
}

impl View {
    /// Takes a line of the console in.
    pub fn line(&mut self, line: &str) {
        match LoadLine::parse(line) {
            Some(LoadLine::Ready) => self.ready = true,
            Some(LoadLine::Heartbeat(Heartbeat { sequence, pages, bad, gap, .. })) => {
                self.beat(&Beat { sequence, pages, bad, gap });
            }
            Some(LoadLine::Bad(text) | LoadLine::Failed(text)) => self.complaint(text),
            Some(_) => {}
            None => self.linux(line),
        }
    }

    /// A line of the Linux guest.
    fn linux(&mut self, line: &str) {
        let Some(text) = line.trim().strip_prefix("linux: ") else { return };
        if text.starts_with("READY") {
            self.ready = true;
        } else if text.starts_with("BAD") || text.starts_with("ERROR") {
            self.complaint(text.to_owned());
        } else if let (Some(sequence), Some(pages), Some(bad), Some(gap_us)) =
            (field(text, "beat"), field(text, "pages"), field(text, "bad"), field(text, "gap_us"))
        {
            self.beat(&Beat { sequence, pages, bad, gap: Duration::from_micros(gap_us) });
        }
    }

    fn beat(&mut self, beat: &Beat) {
        self.ready = true;
        self.beats += 1;
        self.first_beat.get_or_insert(beat.sequence);
        self.last_beat = Some(beat.sequence);
        self.pages_written = beat.pages;
        self.bad = beat.bad;
        let gap_s = beat.gap.as_secs_f64();
        if self.beats <= 2 {
            self.arrival_gap_s = Some(self.arrival_gap_s.unwrap_or_default().max(gap_s));
        }
        self.longest_gap_s = self.longest_gap_s.max(gap_s);
    }

    fn complaint(&mut self, text: String) {
        if self.complaints.len() < MAX_COMPLAINTS {
            self.complaints.push(text);
        }
    }
}

/// `name=NUMBER` among the words of `text`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// Why the guest did not come through the move unharmed, judged by what it said on either side; `None` if it did.
#[must_use]
pub fn harm(before: &View, after: &View) -> Option<String> {
    let wrong = before.bad.max(after.bad);
    if let Some(complaint) = after.complaints.first().or(before.complaints.first()) {
        return Some(format!("the guest complains: {complaint}"));
    }
    if wrong > 0 {
        return Some(format!("the guest found {wrong} wrong pages"));
    }
    match (before.last_beat, after.first_beat) {
        (_, None) => Some("the guest was not heard of at the target".into()),
        (Some(last), Some(first)) if first <= last => Some(format!(
            "the guest went back in time: heartbeat {first} at the target after {last} at the source"
        )),
        _ => None,
    }
}
