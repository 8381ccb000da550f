//! `godwit demo`: two VMM processes on this machine, one guest, one migration over TCP on loopback.
//!
//! Everything is done as a user would do it: the processes are `godwit run` and `godwit receive`, the migration is
//! asked for over the API, and whether it went well the guest's own heartbeats decide.

mod folder;
mod guest_choice;
mod lines;
mod view;
#[cfg(test)]
mod view_test;
mod vmm_process;

use std::{ffi::OsString, io::Write, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use godwit_migration::report::Report;
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use self::{
    folder::Folder,
    guest_choice::{GuestKind, boot_arguments},
    view::{View, harm},
    vmm_process::{Line, Side, VmmProcess},
};
use super::{
    exit_status,
    migrate::{Done, How, follow, write},
    progress::{Display, Voice},
    report_text,
    units::{parse_size, show_bytes, show_seconds},
};
use crate::api::Client;

/// Heartbeats that are waited for on either side of the move.
const BEATS: u64 = 8;
/// What the target says when it waits.
const WAITING: &str = "godwit: waiting for a guest at ";
/// How long a process may take to begin to wait, and to end.
const PROCESS_LIMIT: Duration = Duration::from_secs(10);

/// Watch it work: two VMM processes on this machine, one guest, one migration over TCP.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit demo
  godwit demo --memory 1G --lanes 2 --downtime 30ms
  godwit demo --preset clark2005 --json
  godwit demo --preset multistage,threshold=touched --order coldest-stripe-first

The consoles and the progress go to stderr, the report to stdout. The exit status is 0 only if the guest itself \
says that it carried on with its memory intact.")]
pub struct Demo {
    /// The guest to move
    #[arg(long, value_enum, default_value_t = GuestKind::Load)]
    guest: GuestKind,
    /// The Linux guest's kernel, instead of the one that guest-images/linux/build.sh makes
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The Linux guest's initramfs, instead of the one that guest-images/linux/build.sh makes
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Guest memory, from 32M in steps of 2M; the load guest fills half of it
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_size)]
    memory: u64,
    /// Number of vCPUs, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1)]
    cpus: u8,
    #[command(flatten)]
    how: How,
    /// Print one JSON document on stdout: the migration's report and what the guest saw
    #[arg(long)]
    json: bool,
}

/// What both consoles have told so far.
#[derive(Debug, Clone, Default)]
struct Views {
    source: View,
    target: View,
    /// Where the target waits.
    address: Option<String>,
}

impl Demo {
    /// Runs the demo, and cleans up after it whatever happens.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch signals")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot catch signals")?;
        tokio::select! {
            biased;
            _ = interrupt.recv() => Ok(exit_status::INTERRUPTED),
            _ = terminate.recv() => Ok(exit_status::TERMINATED),
            done = self.play() => done,
        }
    }

    async fn play(self) -> anyhow::Result<u8> {
        let boot = boot_arguments(&self)?;
        let file = self.how.report_file()?;
        let folder = Folder::make()?;
        let mut display = Display::new();
        let (line_to, lines) = mpsc::unbounded_channel();
        let (views_to, mut views) = watch::channel(Views::default());
        let watching = tokio::spawn(watch_consoles(lines, views_to, display.voice()));

        let mut target = self.start_target(&folder, &line_to)?;
        let to = self.target_address(&mut views, &mut target).await?;
        let mut source = self.start_source(&folder, &boot, &line_to)?;
        drop(line_to);
        self.announce(&display.voice(), &source, &target);
        self.wait_for_beats(&mut views, Side::Source, &mut source).await?;

        let client = Client::new(&folder.file("source.sock"));
        let done = follow(&client, &self.how.clone().request(to), &mut display).await?;
        write(file, &done.report);
        if let Some(error) = done.error {
            self.print(&done.report, &views.borrow().clone())?;
            bail!(error);
        }
        self.wait_for_beats(&mut views, Side::Target, &mut target).await?;
        let left = source.ended(PROCESS_LIMIT).await?;
        Client::new(&folder.file("target.sock")).put("vmm.shutdown").await?;
        target.ended(PROCESS_LIMIT).await?;
        watching.await?;
        if !left.success() {
            bail!("the source's process ended with {left} after its guest had left");
        }
        self.verdict(&done, &views.borrow().clone())
    }

    fn start_target(
        &self,
        folder: &Folder,
        lines: &mpsc::UnboundedSender<Line>,
    ) -> anyhow::Result<VmmProcess> {
        let mut arguments: Vec<OsString> =
            vec!["receive".into(), "--listen".into(), "tcp:127.0.0.1:0".into()];
        arguments.extend(["--api".into(), folder.file("target.sock").into()]);
        VmmProcess::start(Side::Target, &arguments, lines)
    }

    fn start_source(
        &self,
        folder: &Folder,
        boot: &[OsString],
        lines: &mpsc::UnboundedSender<Line>,
    ) -> anyhow::Result<VmmProcess> {
        let mut arguments: Vec<OsString> = vec!["run".into()];
        arguments.extend_from_slice(boot);
        arguments.extend(["--memory".into(), self.memory.to_string().into()]);
        arguments.extend(["--cpus".into(), self.cpus.to_string().into()]);
        arguments.extend(["--api".into(), folder.file("source.sock").into()]);
        VmmProcess::start(Side::Source, &arguments, lines)
    }

    fn announce(&self, voice: &Voice, source: &VmmProcess, target: &VmmProcess) {
        voice.say(&format!(
            "demo: the {} guest with {} of memory boots in process {}; process {} waits for it",
            self.guest.name(),
            show_bytes(self.memory as f64),
            source.id(),
            target.id()
        ));
        if self.guest == GuestKind::Linux {
            voice.say("demo: without hardware virtualization a Linux kernel can take many minutes to boot");
        }
    }

    /// Where the target waits, once it does.
    async fn target_address(
        &self,
        views: &mut watch::Receiver<Views>,
        target: &mut VmmProcess,
    ) -> anyhow::Result<String> {
        let waits = tokio::time::timeout(PROCESS_LIMIT, views.wait_for(|v| v.address.is_some()));
        tokio::select! {
            waits = waits => {
                let views = waits.context("the target's process did not begin to wait for a guest")??;
                views.address.clone().ok_or_else(|| anyhow!("the target's process gave no address"))
            }
            ended = target.ended(Duration::MAX) => bail!("the target's process ended early with {}", ended?),
        }
    }

    /// Waits until the guest has been heard of often enough on that side.
    async fn wait_for_beats(
        &self,
        views: &mut watch::Receiver<Views>,
        side: Side,
        process: &mut VmmProcess,
    ) -> anyhow::Result<()> {
        let name = side.name();
        let limit = match side {
            Side::Source => self.guest.boot_limit(),
            Side::Target => self.guest.silence_limit(),
        };
        let enough = |views: &Views| match side {
            Side::Source => views.source.beats >= BEATS,
            Side::Target => views.target.beats >= BEATS,
        };
        let heard = tokio::time::timeout(limit, views.wait_for(enough));
        tokio::select! {
            heard = heard => {
                heard.with_context(|| {
                    format!("the guest was not heard of often enough at the {name} within {} s", limit.as_secs())
                })??;
                Ok(())
            }
            ended = process.ended(Duration::MAX) => bail!("the {name}'s process ended early with {}", ended?),
        }
    }

    /// Prints what happened; the guest decides whether it was good.
    fn verdict(&self, done: &Done, views: &Views) -> anyhow::Result<u8> {
        self.print(&done.report, views)?;
        match harm(&views.source, &views.target) {
            None => Ok(exit_status::of(&done.report)),
            Some(harm) => bail!("{harm}"),
        }
    }

    fn print(&self, report: &Report, views: &Views) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let (before, after) = (&views.source, &views.target);
        if self.json {
            let document = json!({
                "schema": 1,
                "guest": {
                    "kind": self.guest.name(),
                    "memory_bytes": self.memory,
                    "cpus": self.cpus,
                    "before": before,
                    "after": after,
                    "harm": harm(before, after),
                },
                "migration": report,
            });
            writeln!(out, "{document:#}")?;
            return Ok(());
        }
        writeln!(
            out,
            "\nguest      {}, {}: {} heartbeats before the move, {} after it, {} wrong pages",
            self.guest.name(),
            show_bytes(self.memory as f64),
            before.beats,
            after.beats,
            before.bad.max(after.bad)
        )?;
        writeln!(
            out,
            "           longest gap it saw: {} before the move, {} across it",
            show_seconds(before.longest_gap_s),
            after.arrival_gap_s.map_or("unknown".into(), show_seconds)
        )?;
        write!(out, "{}", report_text::text(report))?;
        Ok(())
    }
}

/// Shows each line as it comes, and keeps count of what the guest says.
async fn watch_consoles(mut lines: mpsc::UnboundedReceiver<Line>, views: watch::Sender<Views>, voice: Voice) {
    while let Some(Line { side, guest, text }) = lines.recv().await {
        voice.say(&format!("{} │ {text}", side.name()));
        views.send_modify(|views| match (side, guest) {
            (Side::Source, true) => views.source.line(&text),
            (Side::Target, true) => views.target.line(&text),
            (Side::Target, false) if text.starts_with(WAITING) => {
                views.address = Some(text[WAITING.len()..].to_owned());
            }
            _ => {}
        });
    }
}
