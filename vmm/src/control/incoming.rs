//! Takes a guest in: from `godwit receive --listen`, again and again until one has arrived, or once for
//! `vm.receive-migration`. Each wait drives the migration on a thread of its own, because what the engine asks of
//! the machine blocks.

use std::{
    sync::{Arc, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use godwit_migration::{
    error::{Class, MigrationError},
    host::{HostError, PageSink},
    shape::MachineShape,
    wire::Answer as Told,
};
use godwit_state::Sections;
use godwit_transport::{
    Listener,
    address::Address,
    handle::Handle,
    host::TargetHost,
    incoming::{Received, answer, receive},
    protection::Protection,
    tls::TargetTls,
};
use hyper::StatusCode;
use tokio::sync::{Notify, oneshot};

use super::{Driving, Ending, Guest, Ongoing, Vmm, notice};
use crate::{
    Machine,
    api::{Answer, ReceiveMigration, Refusal},
    record::Fate,
    sandbox,
};

/// How a record names the other side: a source is known by its connection only.
const SOURCE: &str = "its source";
/// Pause after a migration that failed, so that a host in trouble is not asked in a tight loop.
const RETRY: Duration = Duration::from_millis(100);

/// Why no guest arrived.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The address cannot be listened at.
    #[error("cannot wait for a guest at {address}{advice}")]
    Bind {
        /// The address.
        address: Address,
        /// What to do about it.
        advice: String,
        /// What the host said.
        source: std::io::Error,
    },
    /// Threads or I/O.
    #[error("cannot set the migration's I/O up")]
    Host(#[source] std::io::Error),
    /// The migration failed.
    #[error("no guest arrived")]
    Migration(#[source] MigrationError),
}

/// How often a guest is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// One source, or until somebody cancels.
    Once,
    /// Until a guest has arrived, or the process ends: sources that lost their link come back here to ask, so that who
    /// cancels ends one reception, and not the wait.
    UntilArrived,
}

/// Where a guest is waited for, and how the way there is protected.
#[derive(Debug)]
pub struct Place {
    /// Where.
    pub address: Address,
    /// How.
    pub protection: Protection<TargetTls>,
}

/// Waits at `place` until a guest has arrived. An address that cannot be had ends the process.
pub(super) fn listen(vmm: &Arc<Vmm>, place: Place) {
    let waiting = match begin(vmm, place, Patience::UntilArrived) {
        Ok(waiting) => waiting,
        Err(refusal) => return vmm.end(Ending::CannotGoOn(refusal.sentences.join(": "))),
    };
    let vmm = Arc::clone(vmm);
    tokio::spawn(async move {
        if let Ok(Err(failure @ (Failure::Bind { .. } | Failure::Host(_)))) = waiting.await {
            vmm.end(Ending::CannotGoOn(HostError::of(failure).0));
        }
    });
}

/// Serves `vm.receive-migration`: answers when the guest runs here.
pub(super) async fn receive_once(vmm: &Arc<Vmm>, request: &ReceiveMigration) -> Result<Answer, Refusal> {
    let address = request.receiver_url.parse().map_err(Refusal::bad_request)?;
    let protection = request.security.of_target().map_err(|error| request.security.refusal(&error))?;
    match begin(vmm, Place { address, protection }, Patience::Once)?.await {
        Ok(Ok(_)) => Ok(Answer::Done),
        Ok(Err(failure)) => Err(Refusal::failed("receiving a guest failed", &failure)),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the migration's thread ended early")),
    }
}

/// Starts to wait, where there is no guest.
fn begin(
    vmm: &Arc<Vmm>,
    place: Place,
    patience: Patience,
) -> Result<oneshot::Receiver<Result<Received, Failure>>, Refusal> {
    {
        let now = vmm.now();
        now.nothing_ongoing()?;
        now.guest.awaits_one("receiving a guest")?;
    }
    vmm.stop_answering();
    let mut now = vmm.now();
    now.nothing_ongoing()?;
    let handle = Handle::default();
    now.ongoing = Some(Ongoing::Incoming(handle.clone(), patience));
    let (outcome_to, outcome) = oneshot::channel();
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let host = Arriving::at(vmm);
    let waiting = move || {
        let vmm = Arc::clone(&host.vmm);
        let _driving = Driving(Arc::clone(&vmm));
        Machine::know_host();
        wait(host, &place, &handle, patience, &stopped, |waited| {
            vmm.now().ongoing = None;
            // The client may have left; what happened has been said.
            let _ = outcome_to.send(waited);
        });
    };
    match std::thread::Builder::new().name("migration".into()).spawn(waiting) {
        Ok(thread) => {
            *vmm.answering.lock().unwrap_or_else(PoisonError::into_inner) = Some(Answering { stop, thread })
        }
        Err(error) => {
            now.ongoing = None;
            return Err(Refusal::failed("cannot start the migration's thread", &error));
        }
    }
    Ok(outcome)
}

/// The failure to listen at `address`.
fn unlistenable(address: &Address, source: std::io::Error) -> Failure {
    let advice = match address {
        Address::Unix(path) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            sandbox::advice_on_socket(path)
        }
        _ => String::new(),
    };
    Failure::Bind { address: address.clone(), advice, source }
}

/// The thread that waits for a guest, and answers questions when one has arrived.
pub(super) struct Answering {
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Answering {
    /// Ends it, when no migration is under way any more.
    pub(super) fn end(self) {
        self.stop.notify_one();
        if self.thread.join().is_err() {
            tracing::warn!("the thread that waited for a guest had died");
        }
    }
}

/// Waits for a guest and tells what comes of it; when one has arrived, goes on listening for questions about migrations
/// that are over, because a source whose link was lost in the last moment comes back to ask.
fn wait(
    mut host: Arriving,
    Place { address, protection }: &Place,
    handle: &Handle,
    patience: Patience,
    stopped: &Notify,
    waited: impl FnOnce(Result<Received, Failure>),
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return waited(Err(Failure::Host(error))),
    };
    runtime.block_on(async {
        let listener = match Listener::protected(address, protection.clone()).await {
            Ok(listener) => listener,
            Err(source) => return waited(Err(unlistenable(address, source))),
        };
        if let Protection::Insecure = protection {
            notice("warning: --insecure: without TLS whoever can connect can bring a guest, and whoever is on the way sees its memory");
        }
        notice(format_args!("waiting for a guest at {}", listener.address()));
        let received = until_received(&listener, &mut host, handle, patience).await;
        if received.is_err() {
            // Whoever is told may wait at the same address again at once.
            drop(listener);
            return waited(received);
        }
        waited(received);
        let answers = |session| host.vmm.ledger().answer(session);
        tokio::select! {
            Err(error) = answer(&listener, &answers) => {
                notice(format_args!("questions about migrations are no longer answered: {error}"));
            }
            () = stopped.notified() => {}
        }
    });
}

/// Says on stderr what comes of each source.
async fn until_received(
    listener: &Listener,
    host: &mut Arriving,
    handle: &Handle,
    patience: Patience,
) -> Result<Received, Failure> {
    loop {
        match receive(listener, host, handle).await {
            Ok(received) => {
                notice(host.arrival(&received));
                return Ok(received);
            }
            Err(error) => {
                let cancelled = error.class == Class::Cancelled;
                // A wait that was called off before anybody came is not worth a word.
                if !cancelled || host.since.take().is_some() {
                    notice(format_args!("no guest arrived: {error}"));
                }
                if patience == Patience::Once || handle.is_over() {
                    return Err(Failure::Migration(error));
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// The guest, as the engine sees it at the target.
pub(super) struct Arriving {
    vmm: Arc<Vmm>,
    /// The migration that was begun last.
    session: u128,
    /// When its source asked for a machine.
    since: Option<Instant>,
}

impl Arriving {
    /// Where nobody has come yet.
    pub(super) fn at(vmm: &Arc<Vmm>) -> Self {
        Self { vmm: Arc::clone(vmm), session: 0, since: None }
    }

    /// What is said when the guest runs.
    fn arrival(&self, received: &Received) -> String {
        let took = self.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        format!(
            "a guest arrived from {} and runs here: {took:.2} s, {} rounds, {} pages",
            received.from, received.rounds, received.pages
        )
    }
}

impl TargetHost for Arriving {
    fn check(&self, shape: &MachineShape) -> Vec<String> {
        Machine::refusals(shape, &self.vmm.own_side(&self.vmm.now()).devices)
    }

    fn prepare(&mut self, session: u128, shape: &MachineShape) -> Result<(), Vec<String>> {
        self.since = Some(Instant::now());
        self.session = session;
        self.vmm.ledger().note(session, Fate::Begun, SOURCE).map_err(|error| vec![HostError::of(error).0])?;
        let refusals = self.check(shape);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let mut now = self.vmm.now();
        let (own_side, machine) = (self.vmm.own_side(&now), now.machine + 1);
        let prepared = now.guest.prepare(shape, &own_side, self.vmm.exits(machine));
        prepared.map_err(|error| vec![HostError::of(error).0])?;
        now.machine = machine;
        Ok(())
    }

    fn pages(&self) -> Result<Arc<dyn PageSink>, HostError> {
        match &self.vmm.now().guest {
            Guest::Arriving(machine) => Ok(machine.pages()),
            other => Err(HostError(format!("no machine is being filled: {}", other.words()))),
        }
    }

    fn build(&mut self, state: &Sections) -> Result<(), HostError> {
        self.vmm.now().guest.restore(state).map_err(HostError::of)
    }

    fn run(&mut self) -> Result<(), HostError> {
        self.vmm.ledger().note(self.session, Fate::Runs, SOURCE).map_err(HostError::of)?;
        let arrived = self.vmm.arrive().map_err(HostError::of);
        if let Err(error) = arrived {
            self.vmm.ledger().remember(self.session, Fate::Never(error.0.clone()), SOURCE);
            return Err(error);
        }
        self.vmm.give_terminal();
        Ok(())
    }

    fn discard(&mut self) {
        if self.session != 0 {
            let why = "it was let go before it was told to run".into();
            self.vmm.ledger().remember(self.session, Fate::Never(why), SOURCE);
        }
        self.session = 0;
        self.vmm.discard();
    }

    fn answer(&self, session: u128) -> Told {
        self.vmm.ledger().answer(session)
    }
}
