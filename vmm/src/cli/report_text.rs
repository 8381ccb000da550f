//! The report of a migration for a person: a few lines, the numbers that matter first.

use std::fmt::Write;

use godwit_migration::{
    error::Class,
    report::{Downtime, Outcome, Report, Round, StepTaken},
};

use super::units::{show_bytes, show_seconds};

/// Most rounds that are listed; of more, the first and the last.
const LISTED_ROUNDS: usize = 12;

/// The whole report as text, every line ended; why a migration failed is said beside it.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    head(&mut out, report)
        .and_then(|()| rounds(&mut out, &report.rounds))
        .and_then(|()| tail(&mut out, report))
        // Writing into a String cannot fail.
        .unwrap_or_default();
    out
}

fn head(out: &mut String, report: &Report) -> std::fmt::Result {
    let guest_ended = report.error.as_ref().is_some_and(|error| error.class == Class::Guest);
    let outcome = match report.outcome {
        Outcome::Completed => "completed: the guest runs at the target",
        Outcome::Failed if guest_ended => "failed: the guest ended before it had moved",
        Outcome::Failed => "failed: the guest goes on at the source",
        Outcome::Cancelled => "cancelled: the guest goes on at the source",
        Outcome::Unknown => "unknown: the source is paused and keeps everything, the target may be running",
    };
    let lanes = if report.lanes == 1 { "lane" } else { "lanes" };
    writeln!(out, "migration  {outcome}")?;
    writeln!(out, "how        preset {}, {} {lanes}, {}", report.preset, report.lanes, report.tracking)?;
    if let Some(cap) = report.bandwidth_cap {
        writeln!(out, "cap        {}/s", show_bytes(cap as f64))?;
    }
    writeln!(out, "total      {} (set-up {})", show_seconds(report.total_s), show_seconds(report.setup_s))?;
    if let Some(predicted) = report.predicted.total_s {
        writeln!(out, "           predicted {} after the first round", show_seconds(predicted))?;
    }
    writeln!(out, "downtime   {}", downtime(&report.downtime_s))?;
    if let Some(predicted) = report.predicted.downtime_s {
        writeln!(out, "           predicted {}", show_seconds(predicted))?;
    }
    Ok(())
}

/// The downtime and, where there was one, its steps.
fn downtime(downtime: &Downtime) -> String {
    if downtime.total <= 0.0 {
        return "none".into();
    }
    let steps = [
        ("pause", downtime.pause),
        ("harvest", downtime.harvest),
        ("transfer", downtime.transfer),
        ("hand-over", downtime.handover),
    ];
    let steps: Vec<_> = steps.iter().map(|(name, s)| format!("{name} {}", show_seconds(*s))).collect();
    format!("{} ({})", show_seconds(downtime.total), steps.join(", "))
}

fn rounds(out: &mut String, rounds: &[Round]) -> std::fmt::Result {
    if rounds.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "rounds     {:>3} {:>10} {:>10} {:>10} {:>12} {:>10}",
        "n", "dirty", "sent", "time", "rate", "owed"
    )?;
    let hidden = rounds.len().saturating_sub(LISTED_ROUNDS);
    for (i, round) in rounds.iter().enumerate() {
        if hidden > 0 && i == LISTED_ROUNDS / 2 {
            writeln!(out, "           … {hidden} more …")?;
        }
        if hidden == 0 || i < LISTED_ROUNDS / 2 || i >= LISTED_ROUNDS / 2 + hidden {
            writeln!(out, "           {}", row(round))?;
        }
    }
    Ok(())
}

/// One round as a row of the table.
fn row(round: &Round) -> String {
    format!(
        "{:>3} {:>10} {:>10} {:>10} {:>12} {:>10}",
        round.n,
        round.dirty_pages,
        round.sent_pages,
        show_seconds(round.seconds),
        format!("{}/s", show_bytes(round.bandwidth)),
        round.owed_after
    )
}

fn tail(out: &mut String, report: &Report) -> std::fmt::Result {
    if report.rounds.is_empty() {
        return Ok(());
    }
    let pages = &report.pages;
    writeln!(
        out,
        "pages      {} of {} sent ({} again, {} of zeros), {} never touched",
        pages.sent, pages.total, pages.duplicate, pages.zero, pages.untouched
    )?;
    writeln!(
        out,
        "bytes      {} on the wire for {} of pages",
        show_bytes(report.bytes.wire as f64),
        show_bytes(report.bytes.before_encoding as f64)
    )?;
    let slowed = &report.guest_slowed;
    if slowed.vcpu_s > 0.0 {
        let percent = slowed.share * 100.0;
        writeln!(
            out,
            "slowed     the vCPUs lost {} of their time, {percent:.1}%",
            show_seconds(slowed.vcpu_s)
        )?;
    }
    for step in &report.steps {
        writeln!(out, "step       {}", step_line(step))?;
    }
    let target = report.cpu_s.target.map(|s| format!(", target {}", show_seconds(s))).unwrap_or_default();
    writeln!(out, "CPU        source {}{target}", show_seconds(report.cpu_s.source))
}

/// A step of the ladder as one line.
#[must_use]
pub fn step_line(step: &StepTaken) -> String {
    format!("after {} and round {}: {}, because {}", show_seconds(step.at_s), step.round, step.what, step.why)
}

/// A round as one line, for who follows a migration in a pipe.
#[must_use]
pub fn round_line(round: &Round) -> String {
    format!(
        "round {}: {} pages dirty, {} sent ({}) in {}, {}/s, {} owed",
        round.n,
        round.dirty_pages,
        round.sent_pages,
        show_bytes(round.bytes as f64),
        show_seconds(round.seconds),
        show_bytes(round.bandwidth),
        round.owed_after
    )
}
