//! `godwit resolve`: a person's word on a migration of unknown outcome.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

use super::{exit_status, security_args::SecurityArgs};
use crate::{
    api::{self, Client},
    control::settle,
};

/// Decide about a guest whose migration had an unknown outcome.
///
/// At the source the target is asked first, and its answer counts: if the guest runs there, the copy here is let go; if it
/// never will, the guest goes on here. Only where it cannot be asked, or does not know, does what is said here count. At a
/// target that holds a guest, ready, whose source is out of reach, what is said here counts. `godwit info` shows what is
/// known. The status is 0 when what was said is what was done.
///
/// Where the source's process has ended, --state-dir names its directory of records in place of --api: the target is asked,
/// and a target that waits is told; only with --force does what is said here count without an answer. Then `godwit run`
/// takes that directory again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit resolve --api /tmp/a.sock --keep
  godwit resolve --api /tmp/a.sock --discard
  godwit resolve --api /tmp/a.sock --keep --force
  godwit resolve --state-dir /tmp/state --discard")]
pub struct Resolve {
    /// The API socket of the source, or of the target that holds the guest
    #[arg(long, value_name = "PATH", required_unless_present = "state_dir")]
    api: Option<PathBuf>,
    /// The directory of records of a source whose process has ended
    #[arg(long, value_name = "DIR", conflicts_with = "api")]
    state_dir: Option<PathBuf>,
    /// The guest goes on here
    #[arg(long, conflicts_with = "discard", required_unless_present = "discard")]
    keep: bool,
    /// The guest is let go here
    #[arg(long)]
    discard: bool,
    /// Do as said without asking the other side; if the guest then runs twice, that was the person's doing
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    security: SecurityArgs,
}

impl Resolve {
    /// Says it, and shows what was done.
    pub async fn execute(self) -> anyhow::Result<u8> {
        let request = api::Resolve { keep: self.keep, force: self.force };
        let api = match (self.state_dir, self.api) {
            (Some(dir), _) => return settle_all(&dir, self.security, request).await,
            (None, Some(_)) if self.security.is_given() => {
                anyhow::bail!(
                    "--tls, --peer and --insecure are for --state-dir; the process of --api knows its own"
                )
            }
            (None, api) => api.context("--api or --state-dir is needed")?,
        };
        let done = Client::new(&api).put_with("vm.resolve-migration", &request.body()).await?;
        let text = |name: &str| done.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let did = text("did").context("the process does not say what it did")?;
        writeln!(std::io::stdout(), "{did}: {}", text("because").unwrap_or_default())?;
        let as_wished = done.get("as_wished").and_then(serde_json::Value::as_bool) == Some(true);
        Ok(if as_wished { exit_status::OK } else { exit_status::FAILED })
    }
}

/// Settles what a process that has ended left open.
async fn settle_all(dir: &Path, security: SecurityArgs, request: api::Resolve) -> anyhow::Result<u8> {
    let protection = security.security()?.of_source()?;
    let mut status = exit_status::OK;
    for settled in settle(dir, &protection, request).await? {
        let migration = settled.open.session;
        writeln!(std::io::stdout(), "{} (migration {migration:032x}): {}", settled.did, settled.because)?;
        if !settled.as_wished {
            status = exit_status::FAILED;
        }
    }
    Ok(status)
}
