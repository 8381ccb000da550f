//! Moves the guest away: checks the request, drives the migration on a thread of its own, and draws the conclusions.
//!
//! The thread exists while the migration does, because what the engine asks of the machine blocks. The client that
//! asked may leave: the migration goes on, and its report can be asked for.

use std::{sync::Arc, time::Duration};

use godwit_migration::{
    error::Class,
    host::{DirtySource, HostError, PageSource},
    limits::MAX_LANES,
    preset::{self, PRESETS},
    report::{Outcome, Report},
    shape::MachineShape,
    source::OnTimeout,
};
use godwit_state::Sections;
use godwit_transport::{
    address::Address,
    handle::Handle,
    host::SourceHost,
    outgoing::{Options, migrate},
};
use hyper::StatusCode;
use tokio::sync::oneshot;

use super::{Driving, Ending, Guest, Ongoing, Vmm, notice};
use crate::api::{Answer, Refusal, SendMigration, TimeoutStrategy};

/// Lanes, where the request names none.
pub const DEFAULT_LANES: u8 = 1;
/// Downtime that may be, where the request names none.
pub const DEFAULT_DOWNTIME: Duration = Duration::from_millis(300);
/// How long a migration may take, where the request does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);

/// Serves `vm.send-migration`: answers with the report when the guest has moved.
pub(super) async fn send(vmm: &Arc<Vmm>, request: SendMigration) -> Result<Answer, Refusal> {
    let options = options(request)?;
    let report = begin(vmm, options)?.await.map_err(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the migration's thread ended without a report")
    })?;
    match failure(&report) {
        None => {
            let document = serde_json::to_value(&report);
            document.map(Answer::Document).map_err(|e| Refusal::failed("the report cannot be written", &e))
        }
        Some(sentences) => Err(Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, sentences }),
    }
}

/// The engine's options for a request.
fn options(request: SendMigration) -> Result<Options, Refusal> {
    let to: Address = request.destination_url.parse().map_err(Refusal::bad_request)?;
    let preset = match &request.preset {
        Some(name) => preset::by_name(name).map_err(Refusal::bad_request)?,
        None => &PRESETS[0],
    };
    let lanes = request.connections.unwrap_or(DEFAULT_LANES);
    if lanes == 0 || lanes > MAX_LANES {
        return Err(Refusal::bad_request(format!("{lanes} lanes cannot be; there are 1 to {MAX_LANES}")));
    }
    Ok(Options {
        to,
        preset,
        lanes,
        downtime: request.downtime.unwrap_or(DEFAULT_DOWNTIME),
        timeout: Some(request.timeout.unwrap_or(DEFAULT_TIMEOUT)),
        on_timeout: match request.timeout_strategy {
            None | Some(TimeoutStrategy::Cancel) => OnTimeout::Cancel,
            Some(TimeoutStrategy::Ignore) => OnTimeout::Force,
        },
    })
}

/// Starts the migration of a guest that runs.
fn begin(vmm: &Arc<Vmm>, options: Options) -> Result<oneshot::Receiver<Report>, Refusal> {
    let mut now = vmm.now();
    now.nothing_ongoing()?;
    if let Guest::Paused(..) = now.guest {
        return Err(Refusal::wrong_state("the guest is paused; resume it, then move it"));
    }
    let machine = now.guest.running("moving the guest")?;
    let shape = machine.shape().map_err(|e| Refusal::failed("the guest cannot be moved", &e))?;
    let (pages, dirty) = (machine.pages(), machine.dirty());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Refusal::failed("cannot set the migration's I/O up", &e))?;
    let handle = Handle::default();
    let (report_to, report) = oneshot::channel();
    let mut host = Leaving { vmm: Arc::clone(vmm), shape, pages, dirty };
    let driving = {
        let handle = handle.clone();
        move || {
            let _driving = Driving(Arc::clone(&host.vmm));
            let report = runtime.block_on(migrate(&options, &mut host, &handle));
            conclude(&host.vmm, &options.to, &report);
            // The client may have left; the report stays in `vmm`.
            let _ = report_to.send(report);
        }
    };
    std::thread::Builder::new()
        .name("migration".into())
        .spawn(driving)
        .map_err(|e| Refusal::failed("cannot start the migration's thread", &e))?;
    now.ongoing = Some(Ongoing::Outgoing(handle));
    now.report = None;
    Ok(report)
}

/// What the end of a migration means for this process.
fn conclude(vmm: &Vmm, to: &Address, report: &Report) {
    let departed = {
        let mut now = vmm.now();
        now.ongoing = None;
        now.report = Some(report.clone());
        if report.outcome == Outcome::Completed { now.guest.depart() } else { None }
    };
    match failure(report) {
        None => vmm.end(Ending::MovedTo(to.to_string())),
        Some(sentences) => notice(sentences.join(": ")),
    }
    drop(departed);
}

/// What is said about a migration that did not complete.
fn failure(report: &Report) -> Option<Vec<String>> {
    let what = match report.outcome {
        Outcome::Completed => return None,
        Outcome::Failed => "the migration failed and the guest goes on here",
        Outcome::Cancelled => "the migration was cancelled and the guest goes on here",
        Outcome::Unknown => {
            "the outcome of the migration is unknown: the guest may be running at the target, so it stays paused here"
        }
    };
    let why = report.error.as_ref().map(|error| {
        let unheard = error.class == Class::Link && error.phase == "hello";
        let hint = if unheard { "; is `godwit receive` waiting there?" } else { "" };
        format!("{error} [{}]{hint}", class(error.class))
    });
    Some(std::iter::once(what.to_owned()).chain(why).collect())
}

/// The class of an error in a word.
fn class(class: Class) -> &'static str {
    match class {
        Class::Protocol => "protocol",
        Class::Incompatible => "incompatible",
        Class::Local => "local",
        Class::Peer => "peer",
        Class::Link => "link",
        Class::Cancelled => "cancelled",
        Class::Timeout => "timeout",
        Class::Unknown => "unknown",
    }
}

/// The guest, as the engine sees it at the source.
struct Leaving {
    vmm: Arc<Vmm>,
    shape: MachineShape,
    pages: Arc<dyn PageSource>,
    dirty: Arc<dyn DirtySource>,
}

impl SourceHost for Leaving {
    fn shape(&self) -> MachineShape {
        self.shape.clone()
    }

    fn pages(&self) -> Arc<dyn PageSource> {
        Arc::clone(&self.pages)
    }

    fn dirty(&self) -> Arc<dyn DirtySource> {
        Arc::clone(&self.dirty)
    }

    fn pause(&mut self) -> Result<(), HostError> {
        self.vmm.now().guest.pause().map_err(HostError::of)
    }

    fn save(&mut self) -> Result<Sections, HostError> {
        self.vmm.now().guest.save().map_err(HostError::of)
    }

    fn resume(&mut self) -> Result<(), HostError> {
        let guest = &mut self.vmm.now().guest;
        // A pause that failed has left it running.
        if guest.running("resuming").is_ok() { Ok(()) } else { guest.resume().map_err(HostError::of) }
    }

    fn give_up(&mut self) {
        self.vmm.now().guest.give_up();
    }

    fn take_back(&mut self) {
        self.vmm.now().guest.take_back();
    }
}
