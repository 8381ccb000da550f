//! Shows a migration while it runs: a bar on a terminal, one line a round into a pipe.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Instant,
};

use godwit_migration::report::{Progress, Round};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    report_text::round_line,
    units::{show_bytes, show_seconds},
};

/// Where progress is shown, on stderr: stdout belongs to the report.
pub struct Display {
    bar: Option<ProgressBar>,
    /// Rounds that have been printed.
    printed: u32,
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
        Self { bar, printed: 0, began: None }
    }

    /// Shows where the migration stands.
    pub fn show(&mut self, progress: &Progress) {
        let Some(bar) = &self.bar else {
            for round in new_rounds(&progress.rounds, &mut self.printed) {
                print_line(&round_line(round));
            }
            return;
        };
        let began = *self.began.get_or_insert_with(Instant::now);
        bar.set_message(line(progress, began.elapsed().as_secs_f64()));
        bar.set_length(progress.round_bytes);
        bar.set_position(progress.round_sent_bytes.min(progress.round_bytes));
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
    if progress.bandwidth > 0.0 {
        let left = progress.round_bytes.saturating_sub(progress.round_sent_bytes) as f64 / progress.bandwidth;
        line += &format!(" · {}/s · round ends in {}", show_bytes(progress.bandwidth), show_seconds(left));
    }
    if let Some(predicted) = progress.predicted_downtime_s {
        line += &format!(
            " · downtime would be {} of {}",
            show_seconds(predicted),
            show_seconds(progress.budget_s)
        );
    }
    line
}
