//! Moves the guest away: checks the request, drives the migration on a thread of its own, and draws the conclusions.
//!
//! The thread exists while the migration does, because what the engine asks of the machine blocks. The client that
//! asked may leave: the migration goes on, and its report can be asked for.

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use godwit_migration::{
    convergence::ladder::Escalation,
    error::{Class, MigrationError},
    host::{DirtySource, FreePages, HostError, PageSource},
    limits::MAX_LANES,
    preset::{PRESETS, Scheme},
    report::{Outcome, Report},
    shape::MachineShape,
    slow::{DIRTY_LIMIT, Throttle},
    source::OnTimeout,
};
use godwit_state::Sections;
use godwit_transport::{
    address::Address,
    checking::check,
    handle::Handle,
    host::SourceHost,
    marks::Marks,
    outgoing::{Options, migrate, new_session},
    protection::Protection,
};
use hyper::StatusCode;
use serde_json::json;
use tokio::sync::oneshot;

use super::{Driving, Ending, Guest, Ongoing, Vmm, notice, resolve::Open};
use crate::{
    Machine, MachineError,
    api::{Answer, Refusal, SendMigration, TimeoutStrategy},
    record::Fate,
};

/// Most lanes, where the request names none: one lane moves some GB/s, and four fill what links there are.
pub const MOST_DEFAULT_LANES: u8 = 4;
/// Downtime that may be, where the request names none.
pub const DEFAULT_DOWNTIME: Duration = Duration::from_millis(300);
/// How long a migration may take, where the request does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);

/// Guest memory that a lane of its own is worth, where the request names no number: less is there before a second lane
/// has paid for itself.
pub const BYTES_PER_DEFAULT_LANE: u64 = 256 << 20;

/// Lanes for a guest of `memory_bytes`, where the request names none: one a core of this process, at most
/// [`MOST_DEFAULT_LANES`], and one for each [`BYTES_PER_DEFAULT_LANE`] begun.
#[must_use]
pub fn default_lanes(memory_bytes: u64) -> u8 {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let worth = memory_bytes.div_ceil(BYTES_PER_DEFAULT_LANE).max(1);
    let lanes = worth.min(cores as u64).min(u64::from(MOST_DEFAULT_LANES));
    u8::try_from(lanes).unwrap_or(MOST_DEFAULT_LANES)
}

/// Serves `vm.send-migration`: answers with the report when the guest has moved.
pub(super) async fn send(vmm: &Arc<Vmm>, request: SendMigration) -> Result<Answer, Refusal> {
    let (bandwidth, dry_run) = (request.bandwidth, request.dry_run);
    let memory_bytes = vmm.now().guest.machine().map_or(0, |machine| machine.memory_bytes());
    let options = options(request, memory_bytes)?;
    if dry_run {
        return ask_first(vmm, options).await;
    }
    let report = begin(vmm, options, bandwidth)?.await.map_err(|_| {
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

/// Asks the target whether it would take the guest, and leaves everything as it is.
async fn ask_first(vmm: &Arc<Vmm>, options: Options) -> Result<Answer, Refusal> {
    let shape = {
        let now = vmm.now();
        now.nothing_ongoing()?;
        let machine = now.guest.machine().ok_or_else(|| Refusal::wrong_state(now.guest.words()))?;
        machine.shape().map_err(|e| Refusal::failed("the guest cannot be moved", &e))?
    };
    let document = match check(&options, shape, &Handle::default()).await {
        Ok(answer) => {
            json!({"accepted": answer.reasons.is_empty(), "reasons": answer.reasons, "error": null})
        }
        Err(error) => json!({"accepted": false, "reasons": [], "error": error}),
    };
    Ok(Answer::Document(document))
}

/// The engine's options for a request to move a guest of `memory_bytes`.
fn options(request: SendMigration, memory_bytes: u64) -> Result<Options, Refusal> {
    let to: Address = request.destination_url.parse().map_err(Refusal::bad_request)?;
    let preset = request.preset.as_deref().unwrap_or(PRESETS[0].name);
    let scheme = Scheme::parse(preset, &request.parts).map_err(Refusal::bad_request)?;
    let lanes = request.connections.unwrap_or_else(|| default_lanes(memory_bytes));
    if lanes == 0 || lanes > MAX_LANES {
        return Err(Refusal::bad_request(format!("{lanes} lanes cannot be; there are 1 to {MAX_LANES}")));
    }
    let marks = Marks { dscp: request.dscp, priority: request.priority, congestion: request.congestion };
    if matches!(to, Address::Unix(_)) && !marks.is_empty() {
        return Err(Refusal::bad_request(
            "a Unix socket has no packets for dscp, priority and congestion; they are for tcp:HOST:PORT",
        ));
    }
    let escalate = match &request.escalate {
        Some(text) => Escalation::parse(text).map_err(Refusal::bad_request)?,
        None => Escalation::default(),
    };
    let protection = request.security.of_source().map_err(|error| request.security.refusal(&error))?;
    Ok(Options {
        session: new_session(),
        replaces: 0,
        to,
        protection,
        scheme,
        lanes,
        downtime: request.downtime.unwrap_or(DEFAULT_DOWNTIME),
        timeout: Some(request.timeout.unwrap_or(DEFAULT_TIMEOUT)),
        on_timeout: match request.timeout_strategy {
            None | Some(TimeoutStrategy::Cancel) => OnTimeout::Cancel,
            Some(TimeoutStrategy::Ignore) => OnTimeout::Force,
        },
        marks,
        send_buffer: request.send_buffer,
        escalate,
    })
}

/// Starts the migration of a guest that runs.
fn begin(
    vmm: &Arc<Vmm>,
    mut options: Options,
    bandwidth: Option<u64>,
) -> Result<oneshot::Receiver<Report>, Refusal> {
    if let Protection::Insecure = options.protection {
        notice(format_args!("warning: --insecure: the guest's memory goes to {} in clear", options.to));
    }
    let mut now = vmm.now();
    now.nothing_ongoing()?;
    if let Guest::Paused(..) = now.guest {
        return Err(Refusal::wrong_state("the guest is paused; resume it, then move it"));
    }
    let machine = now.guest.running("moving the guest")?;
    let limits = std::iter::once(options.scheme.slow.name()).chain(options.escalate.slows_by());
    if limits.into_iter().any(|slow| slow == DIRTY_LIMIT) && !machine.can_limit_dirtying() {
        return Err(Refusal::bad_request(MachineError::NoDirtyLimit.to_string()));
    }
    let shape = machine.shape().map_err(|e| Refusal::failed("the guest cannot be moved", &e))?;
    let (pages, dirty, free) = (machine.pages(), machine.dirty(), machine.free_pages());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Refusal::failed("cannot set the migration's I/O up", &e))?;
    let handle = Handle::default();
    handle.set_bandwidth(bandwidth);
    options.replaces = std::mem::replace(&mut now.last_session, options.session);
    let (report_to, report) = oneshot::channel();
    let (session, to) = (options.session, options.to.to_string());
    let mut host = Leaving { vmm: Arc::clone(vmm), session, to, shape, pages, dirty, free };
    let driving = {
        let handle = handle.clone();
        move || {
            let _driving = Driving(Arc::clone(&host.vmm));
            let report = runtime.block_on(migrate(&options, &mut host, &handle));
            let ending = conclude(&host.vmm, &options, &report);
            // The client may have left; the report stays in `vmm`. It comes before the end of the process, which waits only for
            // answers that are there.
            let _ = report_to.send(report);
            if let Some(ending) = ending {
                host.vmm.end(ending);
            }
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

/// What the end of a migration means for this process: of a guest that has moved nothing is left here when this returns, not
/// even the name of a socket.
fn conclude(vmm: &Vmm, options: &Options, report: &Report) -> Option<Ending> {
    let Options { session, to, protection, .. } = options;
    let departed = {
        let mut now = vmm.now();
        now.ongoing = None;
        now.report = Some(report.clone());
        now.open = (report.outcome == Outcome::Unknown).then(|| {
            let known = report.error.as_ref().map_or(String::new(), ToString::to_string);
            Arc::new(Open { session: *session, to: to.clone(), protection: protection.clone(), known })
        });
        if report.outcome == Outcome::Completed { now.guest.depart() } else { None }
    };
    if report.outcome == Outcome::Completed {
        vmm.ledger().remember(*session, Fate::Moved, &to.to_string());
    }
    drop(departed);
    match failure(report) {
        None => Some(Ending::MovedTo(to.to_string())),
        Some(sentences) => {
            notice(sentences.join(": "));
            None
        }
    }
}

/// What is said about a migration that did not complete.
fn failure(report: &Report) -> Option<Vec<String>> {
    let what = match report.outcome {
        Outcome::Completed => return None,
        Outcome::Failed if report.error.as_ref().is_some_and(|error| error.class == Class::Guest) => {
            "the migration ended with its guest"
        }
        Outcome::Failed => "the migration failed and the guest goes on here",
        Outcome::Cancelled => "the migration was cancelled and the guest goes on here",
        Outcome::Unknown => {
            "the outcome of the migration is unknown: the guest may be running at the target, so it stays paused here; `godwit resolve` asks there again, \
             and decides"
        }
    };
    let why = report.error.as_ref().map(described);
    Some(std::iter::once(what.to_owned()).chain(why).collect())
}

/// An error with its class, and what to do about it where that is known.
fn described(error: &MigrationError) -> String {
    let hint = match error.class {
        // What TLS says of a target is said by one that waits.
        Class::Link if error.phase == "hello" && !error.reason.contains("TLS") => {
            "; is `godwit receive` waiting there?"
        }
        Class::Link if error.phase != "hello" => {
            "; see that the target and the network are well, then try again"
        }
        Class::Timeout => "; give it more --timeout or --downtime, or see --escalate and --on-timeout force",
        _ => "",
    };
    format!("{error} [{}]{hint}", class(error.class))
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
        Class::Guest => "guest",
        Class::Timeout => "timeout",
        Class::Unknown => "unknown",
    }
}

/// The guest, as the engine sees it at the source.
struct Leaving {
    vmm: Arc<Vmm>,
    session: u128,
    /// The target, in words.
    to: String,
    shape: MachineShape,
    pages: Arc<dyn PageSource>,
    dirty: Arc<dyn DirtySource>,
    free: Option<Arc<dyn FreePages>>,
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

    fn free_pages(&self) -> Option<Arc<dyn FreePages>> {
        self.free.clone()
    }

    fn throttle(&mut self, throttle: Throttle) -> Result<(), HostError> {
        match self.vmm.now().guest.machine() {
            Some(machine) => machine.throttle(throttle).map_err(HostError::of),
            None => Ok(()),
        }
    }

    fn slowed(&self) -> Duration {
        self.vmm.now().guest.machine().map_or(Duration::ZERO, Machine::slowed)
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

    fn give_up(&mut self, session: u128) -> Result<(), HostError> {
        self.vmm.ledger().note(session, Fate::GaveUp, &self.to).map_err(HostError::of)?;
        self.vmm.now().guest.give_up();
        Ok(())
    }

    fn take_back(&mut self) {
        self.vmm.now().guest.take_back();
        self.vmm.ledger().remember(self.session, Fate::TookBack, &self.to);
    }
}
