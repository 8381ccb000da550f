//! A row: one replay in figures; and the tables of many.

use std::fmt::Write;

use godwit_migration::report::{Outcome, Report};
use serde::Serialize;

use crate::replay::Played;

/// One migration in figures. Times in seconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The workload or trace.
    pub workload: String,
    /// The scheme.
    pub preset: String,
    /// Bytes per second of the link.
    pub bandwidth: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why pre-copy was over.
    pub stop_reason: Option<String>,
    /// Total time.
    pub total_s: f64,
    /// Downtime.
    pub downtime_s: f64,
    /// Rounds, the last included.
    pub rounds: usize,
    /// Pages sent, copies included.
    pub pages_sent: u64,
    /// Of these, pages sent before.
    pub duplicates: u64,
    /// Of these, pages of zeros.
    pub zeros: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// CPU time of the source's lanes.
    pub cpu_s: f64,
    /// Share of its own time that the guest kept.
    pub kept: f64,
}

impl Row {
    /// The figures of a replay.
    #[must_use]
    pub fn of(workload: &str, bandwidth: f64, played: &Played) -> Self {
        let report: &Report = &played.report;
        Self {
            workload: workload.into(),
            preset: report.preset.clone(),
            bandwidth,
            outcome: report.outcome,
            stop_reason: report.stop_reason.clone(),
            total_s: report.total_s,
            downtime_s: report.downtime_s.total,
            rounds: report.rounds.len(),
            pages_sent: report.pages.sent,
            duplicates: report.pages.duplicate,
            zeros: report.pages.zero,
            bytes: report.bytes.wire,
            cpu_s: report.cpu_s.source,
            kept: played.kept,
        }
    }

    fn fields(&self) -> [String; 12] {
        [
            self.workload.clone(),
            self.preset.clone(),
            format!("{:.1}", self.bandwidth / 1e6),
            outcome(self.outcome).into(),
            format!("{:.3}", self.total_s),
            format!("{:.2}", self.downtime_s * 1e3),
            self.rounds.to_string(),
            self.pages_sent.to_string(),
            self.duplicates.to_string(),
            format!("{:.1}", self.bytes as f64 / f64::from(1 << 20)),
            format!("{:.2}", self.cpu_s),
            format!("{:.1}", self.kept * 100.0),
        ]
    }
}

const HEAD: [&str; 12] = [
    "workload", "preset", "MB/s", "outcome", "total s", "down ms", "rounds", "pages", "dup", "MiB", "cpu s",
    "kept %",
];
/// The same for machines.
const CSV_HEAD: &str = "workload,preset,bandwidth_bytes_per_s,outcome,total_s,downtime_s,rounds,pages_sent,duplicates,zeros,bytes,cpu_s,kept";

/// The outcome in a word.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Unknown => "unknown",
    }
}

/// A table for people.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let lines: Vec<_> = std::iter::once(HEAD.map(String::from)).chain(rows.iter().map(Row::fields)).collect();
    let widths: Vec<_> = (0..HEAD.len())
        .map(|n| lines.iter().map(|line| line[n].chars().count()).max().unwrap_or(0))
        .collect();
    let mut table = String::new();
    for line in &lines {
        let mut row = String::new();
        for (n, (field, &width)) in line.iter().zip(&widths).enumerate() {
            // Words to the left, numbers to the right.
            let _ = if matches!(n, 0 | 1 | 3) {
                write!(row, "{field:<width$}  ")
            } else {
                write!(row, "{field:>width$}  ")
            };
        }
        table.push_str(row.trim_end());
        table.push('\n');
    }
    table
}

/// A table for programs, as RFC 4180 has it.
#[must_use]
pub fn csv(rows: &[Row]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut table = format!("{CSV_HEAD}\r\n");
    for row in rows {
        let _ = write!(
            table,
            "{},{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
            quoted(&row.workload),
            quoted(&row.preset),
            row.bandwidth,
            outcome(row.outcome),
            row.total_s,
            row.downtime_s,
            row.rounds,
            row.pages_sent,
            row.duplicates,
            row.zeros,
            row.bytes,
            row.cpu_s,
            row.kept
        );
    }
    table
}
