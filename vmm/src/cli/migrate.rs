//! `godwit migrate`: asks a process to move its guest, shows how far it is, and prints the report.

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use godwit_migration::{
    error::MigrationError,
    preset::Overrides,
    report::{Progress, Report},
};
use godwit_transport::{
    address::Address,
    marks::{Congestion, Dscp, Priority},
    send_buffer::SendBuffer,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use super::{
    exit_status,
    progress::Display,
    report_html::ReportFile,
    report_text,
    security_args::SecurityArgs,
    units::{parse_rate, parse_time},
};
use crate::{
    api::{CancelMigration, CancelReason, Client, ClientError, Security, SendMigration, TimeoutStrategy},
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
    /// The scheme, and parameters of it: `godwit presets` lists the schemes, the default first
    #[arg(long, value_name = "NAME[,PARAMETER=VALUE]...")]
    pub preset: Option<String>,
    /// Which pages a round sends, instead of what the preset says: `godwit presets --parts` lists the parts
    #[arg(long, value_name = "PART[,PARAMETER=VALUE]...")]
    pub select: Option<String>,
    /// In which order they go, instead of what the preset says
    #[arg(long, value_name = "PART[,PARAMETER=VALUE]...")]
    pub order: Option<String>,
    /// When pre-copy is over, instead of what the preset says; of several parts the first that fires wins
    #[arg(long, value_name = "PART[,PARAMETER=VALUE]...")]
    pub stop: Option<String>,
    /// Whether the guest is slowed, instead of what the preset says
    #[arg(long, value_name = "PART[,PARAMETER=VALUE]...")]
    pub slow: Option<String>,
    /// The guest may stand still for so long, such as 30ms [default: 300ms]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub downtime: Option<Duration>,
    /// The migration may take so long altogether, such as 60s or 10min [default: 60min]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub timeout: Option<Duration>,
    /// What happens when that time is over [default: cancel]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_timeout: Option<OnTimeout>,
    /// Connections that carry pages, each with a thread of its own at either end, 1 to 16 [default: one a core, at
    /// most 4, and one for every 256 MiB of the guest]
    #[arg(long, value_name = "N")]
    pub lanes: Option<u8>,
    /// How pages travel, instead of what the preset says: parts in a row, tried in this order, such as zero,rle
    #[arg(long, value_name = "PARTS")]
    pub encode: Option<String>,
    /// All lanes together take no more than this, such as 125MB/s or 1Gbit/s [default: no cap]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub bandwidth: Option<u64>,
    /// DSCP of the packets: 0 to 63, or a name such as cs1, af21 or ef
    #[arg(long, value_name = "DSCP")]
    pub dscp: Option<Dscp>,
    /// Priority of the packets in this host's queues (SO_PRIORITY): 0 to 7, 7 only with CAP_NET_ADMIN
    #[arg(long, value_name = "N")]
    pub priority: Option<Priority>,
    /// Congestion control of the connections (tcp(7)), such as cubic or bbr [default: this host's; to this host itself reno,
    /// which does not pace]
    #[arg(long, value_name = "NAME")]
    pub congestion: Option<Congestion>,
    /// A buffer between each lane and its socket, a size with marks in percent such as 8M,low=5,high=70: collects
    /// below the low mark, drains by itself above it, holds the lane up above the high mark [default: none]
    #[arg(long, value_name = "BUFFER")]
    pub send_buffer: Option<SendBuffer>,
    /// Write the report as an HTML page to this file, also of a migration that failed
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// What is tried, one after the other, when rounds no longer help: budget, throttle, and cancel or force, each with
    /// parameters behind it; `stall` before them says when that is, such as stall,rounds=4,time=1s,percent=5
    #[arg(long, value_name = "STEPS")]
    pub escalate: Option<String>,
}

impl How {
    /// The file for the report, where one is wanted, tried before anything begins.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn report_file(&self) -> anyhow::Result<Option<ReportFile>> {
        self.report.as_deref().map(ReportFile::prepare).transpose()
    }

    /// The request to move the guest to `to`.
    #[must_use]
    pub fn request(self, to: String) -> SendMigration {
        SendMigration {
            destination_url: to,
            preset: self.preset,
            parts: Overrides {
                select: self.select,
                order: self.order,
                stop: self.stop,
                slow: self.slow,
                encode: self.encode,
            },
            downtime: self.downtime,
            timeout: self.timeout,
            timeout_strategy: self.on_timeout.map(Into::into),
            connections: self.lanes,
            bandwidth: self.bandwidth,
            dscp: self.dscp,
            priority: self.priority,
            congestion: self.congestion,
            send_buffer: self.send_buffer,
            escalate: self.escalate,
            dry_run: false,
            security: Security::default(),
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
  godwit migrate --api /tmp/a.sock --to tcp:host-b.example:4000 --tls /tmp/tls
  godwit migrate --api /tmp/a.sock --to tcp:10.0.0.2:4000 --tls /tmp/tls --peer 'spiffe://prod.example/host/*'
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000 --dry-run
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000 --preset clark2005 --json
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000 --preset multistage,history=2,threshold=touched
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000 --stop downtime-budget,rounds,most=50
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000 --encode zero,xbzrle,cache=128,zstd,level=3
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000 --bandwidth 125MB/s --dscp cs1 --report move.html
  godwit migrate --api /tmp/a.sock --to unix:/tmp/b.sock --downtime 30ms --escalate budget,ceiling=300ms,throttle,cancel")]
pub struct Migrate {
    /// The API socket of the source
    #[arg(long, value_name = "PATH")]
    api: PathBuf,
    /// Where the target waits: tcp:HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    #[command(flatten)]
    security: SecurityArgs,
    #[command(flatten)]
    how: How,
    /// Only ask the target whether it would take the guest: versions, memory, CPU features, devices. Prints every reason
    /// why not; nothing of the guest is sent, and the target waits on
    #[arg(long)]
    dry_run: bool,
    /// Print the report as one JSON document on stdout, also of a migration that failed
    #[arg(long)]
    json: bool,
}

impl Migrate {
    /// Migrates, and prints the report.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let client = Client::new(&self.api);
        let mut display = Display::new();
        let file = self.how.report_file()?;
        let security = self.security.security()?.carried_by_source()?;
        if security.insecure {
            notice(format_args!("warning: --insecure: the guest's memory goes to {} in clear", self.to));
        }
        let request =
            SendMigration { security, dry_run: self.dry_run, ..self.how.request(self.to.to_string()) };
        if self.dry_run {
            return dry_run(&client, &request, self.json).await;
        }
        let done = follow(&client, &request, &mut display).await?;
        print(&done.report, self.json)?;
        write(file, &done.report);
        let status = exit_status::of(&done.report);
        done.error.map_or(Ok(status), |error| {
            notice(&error);
            Ok(status)
        })
    }
}

/// Asks whether the guest would be taken, and prints the answer.
async fn dry_run(client: &Client, request: &SendMigration, json: bool) -> anyhow::Result<u8> {
    let answer = client.put_and_wait("vm.send-migration", &request.body()).await?;
    let verdict: Verdict = serde_json::from_value(answer.clone()).context("the source answered oddly")?;
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &answer)?;
        writeln!(out)?;
    } else if verdict.accepted {
        writeln!(out, "the target would take the guest")?;
    } else {
        for reason in &verdict.reasons {
            writeln!(out, "{reason}")?;
        }
    }
    if let Some(error) = verdict.error {
        notice(&error);
        return Ok(exit_status::of_class(error.class));
    }
    if verdict.accepted {
        return Ok(exit_status::OK);
    }
    notice(format_args!("the target would not take the guest; reasons: {}", verdict.reasons.len()));
    Ok(exit_status::INCOMPATIBLE)
}

/// What a dry run came to.
#[derive(Debug, Deserialize)]
struct Verdict {
    accepted: bool,
    reasons: Vec<String>,
    error: Option<MigrationError>,
}

/// Writes the report into `file`, where one is wanted. That it cannot be is said, and changes nothing about where the
/// guest is, which is what the exit status tells.
pub fn write(file: Option<ReportFile>, report: &Report) {
    if let Some(Err(error)) = file.map(|file| file.write(report)) {
        notice(error);
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
    let interrupted = CancelMigration { reason: CancelReason::Interrupt };
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
                if let Err(error) = client.put_with("vm.cancel-migration", &interrupted.body()).await {
                    display.voice().say(&format!("godwit: it could not be cancelled: {error}"));
                }
            }
        }
    };
    let done = conclude(client, answer).await;
    if let Ok(done) = &done {
        display.steps(&done.report.steps);
    }
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
