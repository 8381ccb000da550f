//! Shows a migration while it runs: a bar on a terminal, one line a round into a pipe.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Instant,
};

use godwit_migration::report::{Progress, Round, StepTaken};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    report_text::{round_line, step_line},
    units::{show_bytes, show_seconds},
};

/// A round shorter than this says little about the rate.
const TELLING_S: f64 = 0.2;

/// Where progress is shown, on stderr: stdout belongs to the report.
pub struct Display {
    bar: Option<ProgressBar>,
    /// Rounds that have been printed.
    printed: u32,
    /// Steps of the ladder that have been printed.
    steps: usize,
    /// When the first progress came: the source's own clock shows only when something has happened there.
    began: Option<Instant>,
}

impl Display {
    /// A bar where stderr is a terminal, lines elsewhere.
    #[must_use]
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner} {msg} [{bar:20}] {bytes}/{total_bytes}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, printed: 0, steps: 0, began: None }
    }

    /// Shows where the migration stands.
    pub fn show(&mut self, progress: &Progress) {
        self.steps(&progress.steps);
        let Some(bar) = &self.bar else {
            let mut lines: Vec<_> = new_rounds(&progress.rounds, &mut self.printed).map(round_line).collect();
            // The prediction is of the newest round.
            if let Some(line) = lines.last_mut() {
                *line += &prediction(progress).map(|said| format!(", {said}")).unwrap_or_default();
            }
            lines.iter().for_each(|line| print_line(line));
            return;
        };
        let began = *self.began.get_or_insert_with(Instant::now);
        bar.set_message(line(progress, began.elapsed().as_secs_f64()));
        bar.set_length(progress.round_bytes);
        bar.set_position(progress.round_sent_bytes.min(progress.round_bytes));
    }

    /// Prints the steps of the ladder that were taken since the last look, as lines, also above a bar.
    pub fn steps(&mut self, steps: &[StepTaken]) {
        for step in steps.get(self.steps..).unwrap_or_default() {
            self.voice().say(&step_line(step));
        }
        self.steps = self.steps.max(steps.len());
    }

    /// For who prints lines while the bar is there.
    #[must_use]
    pub fn voice(&self) -> Voice {
        Voice(self.bar.clone())
    }

    /// Takes the bar away, and prints the rounds that ended since the last look.
    pub fn finish(&mut self, rounds: &[Round]) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => {
                for round in new_rounds(rounds, &mut self.printed) {
                    print_line(&round_line(round));
                }
            }
        }
    }
}

/// Prints lines on stderr, above the bar where there is one.
#[derive(Clone)]
pub struct Voice(Option<ProgressBar>);

impl Voice {
    /// Prints a line.
    pub fn say(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| print_line(text)),
            None => print_line(text),
        }
    }
}

/// Prints a line on stderr, in one write. That nobody listens there any more is no reason to fail.
fn print_line(text: &str) {
    let _ = stderr().write_all(format!("{text}\n").as_bytes());
}

/// The rounds that have not been printed.
fn new_rounds<'a>(rounds: &'a [Round], printed: &mut u32) -> impl Iterator<Item = &'a Round> {
    let done = *printed;
    *printed = rounds.last().map_or(done, |round| round.n.max(done));
    rounds.iter().filter(move |round| round.n > done)
}

/// Round, owed, rate, predicted downtime against the budget, time to the end of the round.
#[must_use]
pub fn line(progress: &Progress, elapsed_s: f64) -> String {
    let mut line = format!("{} · {}", show_seconds(elapsed_s.max(progress.elapsed_s)), progress.phase);
    if progress.round > 0 {
        line += &format!(" · round {}, {} owed", progress.round, show_bytes(progress.owed_bytes as f64));
    }
    if let Some(rate) = rate(progress) {
        line += &format!(" · {}/s", show_bytes(rate));
    }
    if let Some(cap) = progress.bandwidth_cap {
        line += &format!(" (cap {}/s)", show_bytes(cap as f64));
    }
    if let Some(left) = round_left_s(progress) {
        line += &format!(" · round ends in {}", show_seconds(left));
    }
    if let Some(said) = prediction(progress) {
        line += &format!(" · {said}");
    }
    line
}

/// Bytes per second on the wire: of this round where it has gone on for long enough to tell, else of the last one.
fn rate(progress: &Progress) -> Option<f64> {
    let now = progress.round_wire_bytes as f64 / progress.round_elapsed_s;
    let tells = progress.round_elapsed_s >= TELLING_S && now > 0.0;
    let rate = if tells { now } else { progress.bandwidth };
    (rate > 0.0).then_some(rate)
}

/// Seconds until this round ends, if its pages go on to go as they went: what a page costs on the wire differs.
fn round_left_s(progress: &Progress) -> Option<f64> {
    let left = progress.round_bytes.saturating_sub(progress.round_sent_bytes) as f64;
    let per_byte = progress.round_elapsed_s / progress.round_sent_bytes as f64;
    (per_byte.is_finite() && per_byte > 0.0).then_some(left * per_byte)
}

/// The predicted downtime against the budget.
fn prediction(progress: &Progress) -> Option<String> {
    let predicted = progress.predicted_downtime_s?;
    Some(format!("downtime would be {} of {}", show_seconds(predicted), show_seconds(progress.budget_s)))
}
