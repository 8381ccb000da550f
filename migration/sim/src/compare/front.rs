//! The Pareto front of a workload: who is beaten by nobody in total time, downtime and bytes at once.

use super::Row;

/// Less than this share of a figure is no difference: schemes stop at other moments of the same trace.
const SLACK: f64 = 0.03;
/// Nor is so much downtime, in seconds: a round trip more or less.
const DOWNTIME_SLACK_S: f64 = 1e-3;

/// How a scheme stands among the others on one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Schemes that are better in one of the three figures and as good in the other two. None: it is on the front.
    pub behind: Vec<String>,
    /// Figures in which every other scheme is better.
    pub worst: Vec<&'static str>,
}

/// The place of `row` among `rows`, which may hold it.
#[must_use]
pub fn place(row: &Row, rows: &[&Row]) -> Place {
    let others: Vec<_> = rows.iter().filter(|other| other.preset != row.preset).collect();
    let behind = others.iter().filter(|other| beats(other, row)).map(|other| other.preset.clone()).collect();
    let worst = FIGURES.iter().filter(|(_, better)| others.iter().all(|other| better(other, row)));
    Place { behind, worst: worst.filter(|_| !others.is_empty()).map(|(name, _)| *name).collect() }
}

type Better = fn(&Row, &Row) -> bool;

/// The figures, and whether the first row is better in them than the second by more than the slack.
const FIGURES: [(&str, Better); 3] = [
    ("total time", |a, b| a.total_s < b.total_s * (1.0 - SLACK)),
    ("downtime", |a, b| a.downtime_s < b.downtime_s * (1.0 - SLACK) - DOWNTIME_SLACK_S),
    ("bytes", |a, b| (a.bytes as f64) < b.bytes as f64 * (1.0 - SLACK)),
];

/// Whether `a` is better than `b` in one figure, and `b` better in none.
fn beats(a: &Row, b: &Row) -> bool {
    let arrived = a.outcome == b.outcome;
    arrived
        && FIGURES.iter().any(|(_, better)| better(a, b))
        && !FIGURES.iter().any(|(_, better)| better(b, a))
}
