//! The report of one migration as an HTML page that stands alone: what happened, round by round, where the downtime
//! went, what had been predicted, and the document itself.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use godwit_lab::plot::{Cell, Chart, Mark, Series, escape, page, paragraph, parts, section, table};
use godwit_migration::report::{Downtime, Outcome, Report, Round};

use super::units::{show_bytes, show_seconds};

/// A file that gets the report when the migration has ended. The path is tried when this is made.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    /// Beside the path, so that the last step is a rename within one file system.
    draft: PathBuf,
    file: Option<File>,
}

impl ReportFile {
    /// Makes sure that the report can be written there, before there is anything to report.
    ///
    /// # Errors
    /// Why it cannot, with the path.
    pub fn prepare(path: &Path) -> anyhow::Result<Self> {
        let cannot = |why: &dyn std::fmt::Display| {
            anyhow::anyhow!("cannot write the report {}: {why}", path.display())
        };
        let name = path.file_name().ok_or_else(|| cannot(&"the path names no file"))?;
        if path.is_dir() {
            return Err(cannot(&"it is a folder"));
        }
        let mut draft = name.to_owned();
        draft.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(draft);
        let file =
            File::options().write(true).create_new(true).open(&draft).map_err(|error| cannot(&error))?;
        Ok(Self { path: path.into(), draft, file: Some(file) })
    }

    /// Writes the report; what stood at the path is replaced whole, or left.
    ///
    /// # Errors
    /// Why it cannot, with the path.
    pub fn write(mut self, report: &Report) -> anyhow::Result<()> {
        let written = self.replace(html(report).as_bytes());
        written.map_err(|error| anyhow::anyhow!("cannot write the report {}: {error}", self.path.display()))
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(mut file) = self.file.take() {
            file.write_all(bytes)?;
            file.sync_data()?;
        }
        std::fs::rename(&self.draft, &self.path)
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        // After the rename it is gone already.
        let _ = std::fs::remove_file(&self.draft);
    }
}

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut body = section("Summary", &summary(report));
    if report.downtime_s.total > 0.0 {
        body += &section("Where the downtime went", &downtime(&report.downtime_s));
    }
    if !report.rounds.is_empty() {
        body += &section("Prediction and outcome", &prediction(report));
        body += &section("Rounds", &rounds(&report.rounds));
    }
    body += &section("The document", &document(report));
    page(&format!("Migration by {}: {}", report.preset, outcome(report.outcome)), &body)
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Unknown => "outcome unknown",
    }
}

fn summary(report: &Report) -> String {
    let (pages, bytes) = (&report.pages, &report.bytes);
    let mut rows = vec![
        ("outcome", outcome(report.outcome).to_owned()),
        ("preset", report.preset.clone()),
        ("lanes", report.lanes.to_string()),
        ("dirty tracking", report.tracking.clone()),
    ];
    rows.extend(report.error.as_ref().map(|error| ("error", error.to_string())));
    rows.extend(report.stop_reason.clone().map(|reason| ("pre-copy ended because", reason)));
    rows.extend(report.bandwidth_cap.map(|cap| ("bandwidth cap", rate(cap as f64))));
    rows.extend([
        ("total time", show_seconds(report.total_s)),
        ("set-up", show_seconds(report.setup_s)),
        ("downtime", show_seconds(report.downtime_s.total)),
        ("rounds", report.rounds.len().to_string()),
        ("pages of the guest", pages.total.to_string()),
        ("never touched", pages.untouched.to_string()),
        ("pages sent", pages.sent.to_string()),
        ("of these sent before", pages.duplicate.to_string()),
        ("of these zero", pages.zero.to_string()),
        ("bytes on the wire", format!("{} ({})", bytes.wire, show_bytes(bytes.wire as f64))),
        (
            "bytes before encoding",
            format!("{} ({})", bytes.before_encoding, show_bytes(bytes.before_encoding as f64)),
        ),
        ("CPU time of the source", show_seconds(report.cpu_s.source)),
    ]);
    rows.extend(report.cpu_s.target.map(|s| ("CPU time of the target", show_seconds(s))));
    let rows: Vec<_> =
        rows.into_iter().map(|(name, value)| vec![Cell::Text(name.into()), Cell::Text(value)]).collect();
    table(&["", ""], &rows)
}

fn rate(bytes_per_s: f64) -> String {
    format!("{}/s", show_bytes(bytes_per_s))
}

fn downtime(downtime: &Downtime) -> String {
    let steps = [
        ("pause: stopping vCPUs and devices", downtime.pause * 1e3),
        ("harvest: the last look at the dirty log", downtime.harvest * 1e3),
        ("transfer: final pages and state, loaded at the target", downtime.transfer * 1e3),
        ("hand-over: until the target says that the guest runs", downtime.handover * 1e3),
    ];
    parts("Downtime", "ms", &steps)
}

fn prediction(report: &Report) -> String {
    let row = |name: &str, predicted: Option<f64>, measured: f64| {
        let off =
            predicted.filter(|_| measured > 0.0).map(|p| format!("{:+.0}%", (p / measured - 1.0) * 100.0));
        vec![
            Cell::Text(name.into()),
            Cell::Number(predicted.map_or("not predicted".into(), show_seconds)),
            Cell::Number(show_seconds(measured)),
            Cell::Number(off.unwrap_or_default()),
        ]
    };
    table(
        &["", "predicted", "measured", "off by"],
        &[
            row("downtime", report.predicted.downtime_s, report.downtime_s.total),
            row("total time", report.predicted.total_s, report.total_s),
        ],
    )
}

fn rounds(rounds: &[Round]) -> String {
    let series = |name: &str, of: &dyn Fn(&Round) -> f64| {
        Series::bars(name, rounds.iter().map(|round| (f64::from(round.n), of(round))).collect())
    };
    let chart = |title: &str, y: &str, series: Vec<Series>| {
        Chart { title: title.into(), x: "round".into(), y: y.into(), series }.svg()
    };
    let pages = vec![
        series("dirty before it", &|round| round.dirty_pages as f64),
        series("sent", &|round| round.sent_pages as f64),
        series("owed after it", &|round| round.owed_after as f64),
    ];
    let mut encodings: Vec<_> = rounds.iter().flat_map(|round| round.by_encoding.keys()).collect();
    encodings.sort_unstable();
    encodings.dedup();
    let encodings = encodings
        .into_iter()
        .map(|name| series(name, &|round| round.by_encoding.get(name).copied().unwrap_or_default() as f64));
    let charts = [
        chart("Pages by round", "pages", pages),
        chart("Time by round", "s", vec![series("time", &|round| round.seconds)]),
        chart("Bandwidth by round", "MB/s", vec![series("rate", &|round| round.bandwidth / 1e6)]),
        chart("Bytes by round", "MB", vec![series("on the wire", &|round| round.bytes as f64 / 1e6)]),
        chart("Pages by encoding", "pages", encodings.collect()),
        chart(
            "Guest slowed by",
            "%",
            vec![Series { mark: Mark::Steps, ..series("CPU taken away", &|round| round.throttle * 100.0) }],
        ),
    ];
    charts.concat() + &round_table(rounds)
}

fn round_table(rounds: &[Round]) -> String {
    let rows: Vec<_> = rounds
        .iter()
        .map(|round| {
            let encodings: Vec<_> =
                round.by_encoding.iter().map(|(name, pages)| format!("{name} {pages}")).collect();
            let numbers = [
                round.n.to_string(),
                round.dirty_pages.to_string(),
                round.sent_pages.to_string(),
                round.owed_after.to_string(),
                round.bytes.to_string(),
                show_seconds(round.seconds),
                rate(round.bandwidth),
                format!("{:.0}%", round.throttle * 100.0),
            ];
            numbers.into_iter().map(Cell::Number).chain([Cell::Text(encodings.join(", "))]).collect()
        })
        .collect();
    table(&["round", "dirty", "sent", "owed", "bytes", "time", "rate", "slowed", "encodings"], &rows)
}

/// The document, escaped as text: nothing in it can end the element.
fn document(report: &Report) -> String {
    match serde_json::to_string_pretty(report) {
        Ok(json) => {
            let lines: Vec<_> = json.lines().map(escape).collect();
            format!(
                "<details><summary>JSON</summary><pre id=\"document\">{}</pre></details>\n",
                lines.join("\n")
            )
        }
        Err(error) => paragraph(&format!("It cannot be written: {error}")),
    }
}
