//! `godwit migrate`: asks a process to move its guest, shows how far it is, and prints the report.

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use godwit_migration::report::{Outcome, Progress, Report};
use godwit_transport::address::Address;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use super::{exit_status, progress::Display, report_text, units::parse_time};
use crate::{
    api::{Client, ClientError, SendMigration, TimeoutStrategy},
    control::notice,
};

/// How often progress is asked for.
const LOOK: Duration = Duration::from_millis(100);

/// What happens when the time-out passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnTimeout {
    /// Give up; the guest goes on at the source
    Cancel,
    /// Move it all the same, whatever the downtime
    Force,
}

impl From<OnTimeout> for TimeoutStrategy {
    fn from(on_timeout: OnTimeout) -> Self {
        match on_timeout {
            OnTimeout::Cancel => Self::Cancel,
            OnTimeout::Force => Self::Ignore,
        }
    }
}

/// How to migrate: the flags that `migrate` and `demo` share.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// The scheme: which pages, when to stop, how pages travel; `godwit presets` lists them, the default first
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// The guest may stand still for so long, such as 30ms [default: 300ms]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub downtime: Option<Duration>,
    /// The migration may take so long altogether, such as 60s or 10min [default: 60min]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub timeout: Option<Duration>,
    /// What happens when that time is over [default: cancel]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_timeout: Option<OnTimeout>,
    /// Connections that carry pages, each with a thread of its own at either end [default: 1]
    #[arg(long, value_name = "N")]
    pub lanes: Option<u8>,
}

impl How {
    /// The request to move the guest to `to`.
    #[must_use]
    pub fn request(self, to: String) -> SendMigration {
        SendMigration {
            destination_url: to,
            preset: self.preset,
            downtime: self.downtime,
            timeout: self.timeout,
            timeout_strategy: self.on_timeout.map(Into::into),
            connections: self.lanes,
        }
    }
}

/// Move a guest, running, to a waiting `godwit receive`.
///
/// Ctrl-C cancels the migration (the guest goes on at the source); a second Ctrl-C leaves at once, without waiting
/// for the source's word.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000
  godwit migrate --api /tmp/a.sock --to unix:/tmp/b.sock --downtime 10ms --lanes 2
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000 --preset clark2005 --json")]
pub struct Migrate {
    /// The API socket of the source
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// Where the target waits: tcp:HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    #[command(flatten)]
    how: How,
    /// Print the report as one JSON document on stdout, also of a migration that failed
    #[arg(long)]
    json: bool,
}

impl Migrate {
    /// Migrates, and prints the report.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let client = Client::new(&self.api);
        let mut display = Display::new();
        let request = self.how.request(self.to.to_string());
        let done = follow(&client, &request, &mut display).await?;
        print(&done.report, self.json)?;
        let status = status(done.report.outcome);
        done.error.map_or(Ok(status), |error| {
            notice(&error);
            Ok(status)
        })
    }
}

/// A migration that began and ended.
pub struct Done {
    /// What it did.
    pub report: Report,
    /// Why it did not complete.
    pub error: Option<ClientError>,
}

/// Asks for a migration and follows it to its end. A first Ctrl-C cancels it.
///
/// # Errors
/// Where there was no migration, and so there is no report.
pub async fn follow(client: &Client, request: &SendMigration, display: &mut Display) -> anyhow::Result<Done> {
    let body = request.body();
    let mut sending = std::pin::pin!(client.put_and_wait("vm.send-migration", &body));
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupts = 0;
    let answer = loop {
        tokio::select! {
            answer = &mut sending => break answer,
            _ = look.tick() => if let Some(progress) = progress(client).await {
                display.show(&progress);
            },
            interrupt = tokio::signal::ctrl_c() => {
                interrupt.context("cannot wait for Ctrl-C")?;
                interrupts += 1;
                if interrupts > 1 {
                    display.finish(&[]);
                    anyhow::bail!("left without waiting; the migration was asked to cancel, `godwit info` tells \
                                   where the guest is");
                }
                display.voice().say("godwit: cancelling the migration; Ctrl-C again leaves without waiting");
                if let Err(error) = client.put("vm.cancel-migration").await {
                    display.voice().say(&format!("godwit: it could not be cancelled: {error}"));
                }
            }
        }
    };
    let done = conclude(client, answer).await;
    display.finish(done.as_ref().map_or(&[], |done| &done.report.rounds));
    done
}

/// The report that goes with the answer: in it, or, where it is an error, left behind at the source.
async fn conclude(client: &Client, answer: Result<Value, ClientError>) -> anyhow::Result<Done> {
    match answer {
        Ok(report) => {
            let report = serde_json::from_value(report).context("the source answered without a report")?;
            Ok(Done { report, error: None })
        }
        Err(error @ ClientError::Refused { status, .. }) if status.is_server_error() => {
            match last_report(client).await {
                Some(report) => Ok(Done { report, error: Some(error) }),
                None => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the migration stands; nothing while it has not begun or the source does not answer.
async fn progress(client: &Client) -> Option<Progress> {
    serde_json::from_value(client.get("vm.migration-progress").await.ok()?).ok()
}

/// The report of the migration that ended last.
async fn last_report(client: &Client) -> Option<Report> {
    let mut document = client.get("vm.migration-progress").await.ok()?;
    serde_json::from_value(document.get_mut("report")?.take()).ok()
}

/// Prints the report on stdout; as text only where there is something to tell beside the error.
fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else if !report.rounds.is_empty() {
        write!(out, "{}", report_text::text(report))?;
    }
    Ok(())
}

/// The exit status for an outcome.
#[must_use]
pub fn status(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Completed => exit_status::OK,
        Outcome::Failed => exit_status::FAILED,
        Outcome::Cancelled => exit_status::CANCELLED,
        Outcome::Unknown => exit_status::UNKNOWN_OUTCOME,
    }
}
