//! The study: every preset on every workload, in one HTML page that needs nothing but itself.

use godwit_migration::preset::{Overrides, PRESETS, Scheme};

use super::{
    front::{Place, place},
    row::{Row, outcome},
};
use crate::{
    plot::{Cell, Chart, Mark, Series, page, paragraph, section, table},
    replay::Played,
};

/// How much of the study is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A guest of 256 MiB and seven workloads: seconds.
    Ci,
    /// A guest of 1 GiB and all workloads: minutes.
    Full,
}

impl Size {
    /// Pages of the guest.
    #[must_use]
    pub fn pages(self) -> u32 {
        match self {
            Self::Ci => 1 << 16,
            Self::Full => 1 << 18,
        }
    }

    /// The workloads, as [`Synth`](crate::trace::synth::Synth) reads them.
    #[must_use]
    pub fn workloads(self) -> Vec<String> {
        let mut all: Vec<String> =
            ["idle", "idle,zero_share=0.7", "phases,rate=20000,working_set=128M"].map(Into::into).into();
        match self {
            Self::Ci => all.extend(
                [
                    "sequential,rate=5000,working_set=64M",
                    "uniform,rate=50000,working_set=64M",
                    "hot,rate=50000,working_set=128M",
                    "uniform,rate=unlimited,working_set=128M",
                ]
                .map(Into::into),
            ),
            Self::Full => {
                for pattern in ["sequential", "uniform", "hot"] {
                    for rate in ["5000", "50000", "unlimited"] {
                        for set in ["64M", "128M", "512M"] {
                            all.push(format!("{pattern},rate={rate},working_set={set}"));
                        }
                    }
                }
                all.extend(
                    [
                        "phases,rate=50000,working_set=512M",
                        "uniform,rate=unlimited,working_set=1G",
                        "uniform,rate=50000,working_set=256M,delta_ratio=200",
                        "uniform,rate=50000,working_set=128M,ratio=1,delta_ratio=1",
                        "hot,rate=50000,working_set=128M,vcpus=2",
                        "hot,rate=50000,working_set=128M,vcpus=4",
                        "uniform,rate=20000,working_set=256M,vcpus=4,writers=4",
                    ]
                    .map(Into::into),
                );
            }
        }
        all
    }
}

/// The presets, and the six cells of the multistage proposal where this build has them: history 2, 3 and 4 by threshold
/// over all pages and over pages ever touched.
#[must_use]
pub fn schemes() -> Vec<Scheme> {
    let cells = [2, 3, 4].into_iter().flat_map(|history| {
        ["all", "touched"].map(|threshold| format!("multistage,history={history},threshold={threshold}"))
    });
    let cells = cells.filter_map(|text| Scheme::parse(&text, &Overrides::default()).ok());
    PRESETS.iter().map(Scheme::of).chain(cells).collect()
}

/// A workload and what came of every scheme on it.
pub struct Part {
    /// The workload, as it is named on the command line.
    pub workload: String,
    /// What its trace is, in a sentence.
    pub about: String,
    /// Every scheme's figures, and the replay that they are of.
    pub rows: Vec<(Row, Played)>,
}

impl Part {
    /// The scheme that comes first, and its place among the presets.
    #[must_use]
    pub fn first(&self) -> Option<(&Row, Place)> {
        let presets: Vec<_> = self.rows.iter().map(|(row, _)| row).filter(|row| !is_cell(row)).collect();
        let first = presets.first()?;
        Some((first, place(first, &presets)))
    }
}

/// The page. `about` says in sentences what was fixed for all parts.
#[must_use]
pub fn html(about: &[String], parts: &[Part]) -> String {
    let mut body: String = about.iter().map(|sentence| paragraph(sentence)).collect();
    body += &section("Means over all workloads", &means(parts));
    body += &section("The front", &fronts(parts));
    for part in parts {
        body +=
            &section(&part.workload, &(paragraph(&part.about) + &figures(&part.rows) + &charts(&part.rows)));
    }
    page("Migration schemes, compared", &body)
}

/// Whether the row is one of the six cells.
fn is_cell(row: &Row) -> bool {
    row.preset.starts_with("multistage,")
}

/// The geometric mean of each scheme relative to the first, over the workloads.
fn means(parts: &[Part]) -> String {
    let Some(first) = parts.first() else { return String::new() };
    let mut rows = vec![];
    for (n, (row, _)) in first.rows.iter().enumerate() {
        let mean = |of: fn(&Row) -> f64| {
            let logs: Vec<f64> = parts
                .iter()
                .filter_map(|part| Some((&part.rows.first()?.0, &part.rows.get(n)?.0)))
                .map(|(base, row)| (of(row).max(1e-9) / of(base).max(1e-9)).ln())
                .collect();
            (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp()
        };
        rows.push((
            row.preset.clone(),
            [
                mean(|row| row.total_s),
                mean(|row| row.downtime_s),
                mean(|row| row.pages_sent as f64),
                mean(|row| row.bytes as f64),
                mean(|row| row.kept),
            ],
        ));
    }
    let note = format!(
        "Each figure is the geometric mean of the scheme's over that of {}.",
        first.rows.first().map_or("", |(row, _)| &row.preset)
    );
    let cells: Vec<Vec<Cell>> = rows
        .into_iter()
        .map(|(name, means)| {
            std::iter::once(Cell::Text(name))
                .chain(means.map(|mean| Cell::Number(format!("{mean:.3}"))))
                .collect()
        })
        .collect();
    paragraph(&note)
        + &table(&["scheme", "total time", "downtime", "pages sent", "bytes", "time kept"], &cells)
}

/// Where the first scheme stands on each workload.
fn fronts(parts: &[Part]) -> String {
    let lines: Vec<Vec<Cell>> = parts
        .iter()
        .filter_map(|part| {
            let (row, Place { behind, worst }) = part.first()?;
            let or_none = |names: String| if names.is_empty() { "–".into() } else { names };
            Some(vec![
                Cell::Text(part.workload.clone()),
                Cell::Number(format!("{:.2}", row.total_s)),
                Cell::Number(format!("{:.1}", row.downtime_s * 1e3)),
                Cell::Number(format!("{:.1}", row.bytes as f64 / f64::from(1 << 20))),
                Cell::Number(format!("{:.1}", (1.0 - row.kept) * 100.0)),
                Cell::Text(or_none(behind.join(", "))),
                Cell::Text(or_none(worst.join(", "))),
            ])
        })
        .collect();
    let name = parts.first().and_then(Part::first).map_or(String::new(), |(row, _)| row.preset.clone());
    paragraph(&format!(
        "Where {name} stands among the presets. A preset is in front of it that is better in total time, downtime or \
         bytes and as good in the other two, within 3 percent and 1 ms of downtime."
    )) + &table(
        &[
            "workload",
            "total s",
            "downtime ms",
            "MiB",
            "guest time lost %",
            "in front of it",
            "worst of all in",
        ],
        &lines,
    )
}

/// The figures of a workload, the best of each column marked; the six cells in a table of their own.
fn figures(rows: &[(Row, Played)]) -> String {
    let (cells, presets): (Vec<_>, Vec<_>) = rows.iter().map(|(row, _)| row).partition(|row| is_cell(row));
    let mut html = figures_of(&presets);
    if !cells.is_empty() {
        html += &paragraph("The six cells of the multistage proposal: history by threshold.");
        html += &figures_of(&cells);
    }
    html
}

fn figures_of(rows: &[&Row]) -> String {
    type Column = (&'static str, fn(&Row) -> f64, fn(f64) -> String);
    const COLUMNS: [Column; 7] = [
        ("total s", |row| row.total_s, |n| format!("{n:.2}")),
        ("downtime ms", |row| row.downtime_s * 1e3, |n| format!("{n:.1}")),
        ("pages sent", |row| row.pages_sent as f64, |n| format!("{n:.0}")),
        ("duplicates", |row| row.duplicates as f64, |n| format!("{n:.0}")),
        ("MiB", |row| row.bytes as f64 / (1 << 20) as f64, |n| format!("{n:.1}")),
        ("CPU s", |row| row.cpu_s, |n| format!("{n:.2}")),
        ("guest time lost %", |row| (1.0 - row.kept) * 100.0, |n| format!("{n:.1}")),
    ];
    let best = COLUMNS.map(|(_, of, _)| rows.iter().map(|row| of(row)).fold(f64::INFINITY, f64::min));
    let mut lines = vec![];
    for row in rows {
        let mut line = vec![Cell::Text(row.preset.clone()), Cell::Text(outcome(row.outcome).into())];
        for ((_, of, show), best) in COLUMNS.iter().zip(best) {
            let (value, text) = (of(row), show(of(row)));
            line.push(if value <= best * 1.001 && rows.len() > 1 {
                Cell::Best(text)
            } else {
                Cell::Number(text)
            });
        }
        line.push(Cell::Number(row.rounds.to_string()));
        line.push(Cell::Text(row.stop_reason.clone().unwrap_or_default()));
        lines.push(line);
    }
    let head: Vec<_> = ["scheme", "outcome"]
        .into_iter()
        .chain(COLUMNS.map(|(name, ..)| name))
        .chain(["rounds", "pre-copy ended because"])
        .collect();
    table(&head, &lines)
}

/// Rounds of the presets: pages sent and owed.
fn charts(rows: &[(Row, Played)]) -> String {
    let series = |of: fn(&godwit_migration::report::Round) -> f64| -> Vec<Series> {
        rows.iter()
            .filter(|(row, _)| !is_cell(row))
            .map(|(row, played)| {
                let mut at = 0.0;
                let points = played.report.rounds.iter().map(|round| {
                    at += round.seconds;
                    (at, of(round))
                });
                Series { name: row.preset.clone(), points: points.collect(), mark: Mark::Line }
            })
            .collect()
    };
    let sent = Chart {
        title: "Pages sent, round by round".into(),
        x: "seconds of rounds".into(),
        y: "pages".into(),
        series: series(|round| round.sent_pages as f64),
    };
    let owed = Chart {
        title: "Pages owed after each round".into(),
        x: "seconds of rounds".into(),
        y: "pages".into(),
        series: series(|round| round.owed_after as f64),
    };
    let compare = Chart {
        title: "Downtime against total time".into(),
        x: "total time, s".into(),
        y: "downtime, ms".into(),
        series: rows
            .iter()
            .map(|(row, _)| Series {
                name: row.preset.clone(),
                points: vec![(row.total_s, row.downtime_s * 1e3)],
                mark: Mark::Dots,
            })
            .collect(),
    };
    sent.svg() + &owed.svg() + &compare.svg()
}
