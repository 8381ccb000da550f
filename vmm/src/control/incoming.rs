//! Takes a guest in: from `godwit receive --listen`, again and again until one has arrived, or once for
//! `vm.receive-migration`. Each wait drives the migration on a thread of its own, because what the engine asks of
//! the machine blocks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use godwit_migration::{
    error::{Class, MigrationError},
    host::{HostError, PageSink},
    shape::MachineShape,
};
use godwit_state::Sections;
use godwit_transport::{
    Listener,
    address::Address,
    handle::Handle,
    host::TargetHost,
    incoming::{Received, receive},
};
use hyper::StatusCode;
use tokio::sync::oneshot;

use super::{Driving, Ending, Guest, Ongoing, Vmm, notice};
use crate::{
    Machine,
    api::{Answer, Refusal},
};

/// Pause after a migration that failed, so that a host in trouble is not asked in a tight loop.
const RETRY: Duration = Duration::from_millis(100);

/// Why no guest arrived.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The address cannot be listened at.
    #[error("cannot wait for a guest at {address}")]
    Bind {
        /// The address.
        address: Address,
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// One source.
    Once,
    /// Until a guest has arrived, or somebody cancels.
    UntilArrived,
}

/// Waits at `address` until a guest has arrived. An address that cannot be had ends the process.
pub(super) fn listen(vmm: &Arc<Vmm>, address: Address) {
    let waiting = match begin(vmm, address, Patience::UntilArrived) {
        Ok(waiting) => waiting,
        Err(refusal) => return vmm.end(Ending::CannotListen(refusal.sentences.join(": "))),
    };
    let vmm = Arc::clone(vmm);
    tokio::spawn(async move {
        if let Ok(Err(failure @ (Failure::Bind { .. } | Failure::Host(_)))) = waiting.await {
            vmm.end(Ending::CannotListen(HostError::of(failure).0));
        }
    });
}

/// Serves `vm.receive-migration`: answers when the guest runs here.
pub(super) async fn receive_once(vmm: &Arc<Vmm>, receiver_url: &str) -> Result<Answer, Refusal> {
    let address: Address = receiver_url.parse().map_err(Refusal::bad_request)?;
    match begin(vmm, address, Patience::Once)?.await {
        Ok(Ok(_)) => Ok(Answer::Done),
        Ok(Err(failure)) => Err(Refusal::failed("receiving a guest failed", &failure)),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the migration's thread ended early")),
    }
}

/// Starts to wait, where there is no guest.
fn begin(
    vmm: &Arc<Vmm>,
    address: Address,
    patience: Patience,
) -> Result<oneshot::Receiver<Result<Received, Failure>>, Refusal> {
    let mut now = vmm.now();
    now.nothing_ongoing()?;
    if !matches!(now.guest, Guest::Empty) {
        return Err(Refusal::wrong_state(format!(
            "receiving a guest is not possible: {}",
            now.guest.words()
        )));
    }
    let handle = Handle::default();
    now.ongoing = Some(Ongoing::Incoming(handle.clone()));
    let (outcome_to, outcome) = oneshot::channel();
    let host = Arriving { vmm: Arc::clone(vmm), since: None };
    let waiting = move || {
        let vmm = Arc::clone(&host.vmm);
        let _driving = Driving(Arc::clone(&vmm));
        let waited = wait(host, &address, &handle, patience);
        vmm.now().ongoing = None;
        // The client may have left; what happened has been said.
        let _ = outcome_to.send(waited);
    };
    let started = std::thread::Builder::new().name("migration".into()).spawn(waiting);
    if let Err(error) = started {
        now.ongoing = None;
        return Err(Refusal::failed("cannot start the migration's thread", &error));
    }
    Ok(outcome)
}

/// Listens, and says on stderr what comes of it.
fn wait(
    mut host: Arriving,
    address: &Address,
    handle: &Handle,
    patience: Patience,
) -> Result<Received, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Host)?;
    runtime.block_on(async {
        let listener = Listener::bind(address)
            .await
            .map_err(|source| Failure::Bind { address: address.clone(), source })?;
        notice(format_args!("waiting for a guest at {}", listener.address()));
        loop {
            match receive(&listener, &mut host, handle).await {
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
                    if cancelled || patience == Patience::Once {
                        return Err(Failure::Migration(error));
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    })
}

/// The guest, as the engine sees it at the target.
struct Arriving {
    vmm: Arc<Vmm>,
    /// When its source asked for a machine.
    since: Option<Instant>,
}

impl Arriving {
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
    fn prepare(&mut self, shape: &MachineShape) -> Result<(), Vec<String>> {
        self.since = Some(Instant::now());
        let refusals = Machine::refusals(shape);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let exits = self.vmm.exits();
        let prepared = self.vmm.now().guest.prepare(shape, &self.vmm.incoming, exits);
        prepared.map_err(|error| vec![HostError::of(error).0])
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
        self.vmm.now().guest.arrive().map_err(HostError::of)?;
        self.vmm.give_terminal();
        Ok(())
    }

    fn discard(&mut self) {
        self.vmm.now().guest.discard();
    }
}
