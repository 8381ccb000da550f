//! The life of a VMM process: boot, wait or be told, serve the API, and end with the right status and nothing left
//! behind. What is booted runs before anything else is set up; the API, signals and migrations share one thread.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use godwit_migration::cancellation::Cancellation;
use godwit_transport::address::Address;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use super::{
    Ending, Guest, GuestError, Tenure, Vmm,
    incoming::{self, Place},
    life::CONSOLE_FLUSH,
    notice,
};
use crate::{
    ConfigError, DirtyKind, IncomingConfig, MachineError,
    api::{self, ApiSocket, SocketError, VmConfig},
    footprint,
    record::{Ledger, LeftOpen, RecordError},
    sandbox::{Allowed, Mode, Paths, Sandbox, SandboxError},
};

/// Why a VMM process could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The API's socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The process cannot be confined.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The state directory cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A guest was handed over from here, and may run elsewhere.
    #[error(
        "a guest that was handed over from {dir} may run elsewhere, so none is started: {open}. Look there, and then say \
         `godwit resolve --state-dir {dir} --discard` where it is to go on there, or --keep where it may be started here"
    )]
    LeftOpen {
        /// The state directory.
        dir: PathBuf,
        /// The migration.
        open: LeftOpen,
    },
    /// No such machine can be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No such guest can be.
    #[error("{0}")]
    Guest(String),
    /// The kernel can only allow what is there.
    #[error(
        "{0} is not there, and cannot be allowed; allow the folder that it will be in, or make it before godwit serve starts"
    )]
    AllowedMissing(PathBuf),
    /// The machine could not be made or started.
    #[error("the guest could not be started")]
    Machine(#[from] MachineError),
    /// Threads, signals or sockets.
    #[error("cannot set up {what}")]
    Host {
        /// What was being set up.
        what: &'static str,
        /// What the host said.
        source: io::Error,
    },
}

/// Boots a guest, and lives until it ends or has moved away. Not where an earlier process of `state_dir` handed its guest
/// over and nobody has said since what became of it: what is booted here may be that guest a second time.
///
/// # Errors
/// Where the guest never ran.
pub fn run(
    config: VmConfig,
    dirty: DirtyKind,
    api: Option<PathBuf>,
    state_dir: Option<&Path>,
    sandbox: Sandbox,
) -> Result<u8, ProcessError> {
    config.check()?;
    let ledger = ledger(state_dir)?;
    if let (Some(dir), Some(open)) = (state_dir, ledger.left_open().into_iter().next()) {
        return Err(ProcessError::LeftOpen { dir: dir.to_owned(), open });
    }
    config.devices.are_free()?;
    let mut paths = Paths::of(&config);
    paths.folders.extend(state_dir.map(Path::to_owned));
    let api = confined(&sandbox, paths, api)?;
    let (endings, ended) = mpsc::unbounded_channel();
    let vmm = Vmm::empty(Tenure::Guest, IncomingConfig::without_devices(dirty), endings, ledger);
    vmm.create(config).map_err(|refusal| ProcessError::Guest(refusal.sentences.join(": ")))?;
    vmm.boot().map_err(|error| match error {
        GuestError::Machine { source, .. } => ProcessError::Machine(source),
        GuestError::Config { source, .. } => ProcessError::Config(source),
        other => ProcessError::Guest(other.to_string()),
    })?;
    live(&vmm, api, None, ended)
}

/// Serves the API, and lives until it is told to end: its clients make guests, of files that are `allowed`.
///
/// # Errors
/// Where serving could not begin.
pub fn serve(
    dirty: DirtyKind,
    api: PathBuf,
    state_dir: Option<&Path>,
    allowed: &Allowed,
    sandbox: Sandbox,
) -> Result<u8, ProcessError> {
    if let Some(path) = allowed.missing() {
        return Err(ProcessError::AllowedMissing(path.to_owned()));
    }
    let ledger = ledger(state_dir)?;
    ledger.left_open().iter().for_each(|open| notice(format_args!("warning: {open}")));
    let paths = Paths {
        read: allowed.read.clone(),
        granted: allowed.write.clone(),
        folders: state_dir.map(Path::to_owned).into_iter().collect(),
        ..Paths::default()
    };
    let api = confined(&sandbox, paths, Some(api))?;
    let allowed = (sandbox.mode != Mode::Off).then(|| allowed.clone());
    let (endings, ended) = mpsc::unbounded_channel();
    let tenure = Tenure::Process(allowed);
    let vmm = Vmm::empty(tenure, IncomingConfig::without_devices(dirty), endings, ledger);
    live(&vmm, api, None, ended)
}

/// Waits for a guest at `listen` (or for `vm.receive-migration`), and lives until it ends or has moved on.
///
/// # Errors
/// Where waiting could not begin.
pub fn receive(
    config: IncomingConfig,
    listen: Option<Place>,
    api: Option<PathBuf>,
    state_dir: Option<&Path>,
    sandbox: Sandbox,
) -> Result<u8, ProcessError> {
    let ledger = ledger(state_dir)?;
    // Whoever comes is another guest, or the same one coming home.
    ledger.left_open().iter().for_each(|open| notice(format_args!("warning: {open}")));
    let mut paths = Paths::default();
    if let Some(Place { address: Address::Unix(path), .. }) = &listen {
        paths.sockets.push(path.clone());
    }
    paths.folders.extend(state_dir.map(Path::to_owned));
    paths.of_console(&config.serial);
    paths.of_devices(&config.devices);
    let api = confined(&sandbox, paths, api)?;
    let (endings, ended) = mpsc::unbounded_channel();
    let vmm = Vmm::empty(Tenure::Guest, config, endings, ledger);
    live(&vmm, api, listen, ended)
}

/// What earlier processes left in `state_dir`.
fn ledger(state_dir: Option<&Path>) -> Result<Ledger, RecordError> {
    state_dir.map_or_else(|| Ok(Ledger::default()), Ledger::open)
}

/// Opens what may need more rights than the guest's process keeps, and gives up the rest.
fn confined(
    sandbox: &Sandbox,
    mut paths: Paths,
    api: Option<PathBuf>,
) -> Result<Option<ApiSocket>, ProcessError> {
    let socket =
        api.as_deref().map(|path| ApiSocket::bind_for(path, sandbox.uid, sandbox.gid)).transpose()?;
    paths.sockets.extend(api);
    paths.requests.extend(sandbox.api_dirs.iter().cloned());
    sandbox.enter(&paths)?;
    Ok(socket)
}

fn live(
    vmm: &Arc<Vmm>,
    api: Option<ApiSocket>,
    listen: Option<Place>,
    ended: mpsc::UnboundedReceiver<Ending>,
) -> Result<u8, ProcessError> {
    let host = |what| move |source| ProcessError::Host { what, source };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(host("the I/O loop"))?;
    let status = runtime.block_on(async {
        let mut signals = Signals::catch().map_err(host("signals"))?;
        if vmm.now().guest.machine().is_some() {
            vmm.give_terminal();
        }
        let (stop, stopped) = watch::channel(false);
        let (serving, _socket_file) = match api {
            Some(socket) => {
                let (listener, file) = socket.into_parts();
                (Some(tokio::spawn(api::serve(listener, Arc::new(Arc::clone(vmm)), stopped))), Some(file))
            }
            None => (None, None),
        };
        if let Some(place) = listen {
            incoming::listen(vmm, place);
        }
        footprint::forget_program();
        let status = end(vmm, ended, &mut signals).await;
        // Nobody to tell means that the server has ended already.
        let _ = stop.send(true);
        if let Some(serving) = serving
            && let Ok(Err(error)) = serving.await
        {
            tracing::warn!("the API ended early: {error}");
        }
        Ok(status)
    });
    if let Some(machine) = vmm.now().guest.machine() {
        machine.flush_console(CONSOLE_FLUSH);
    }
    let answering = vmm.answering.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(answering) = answering.filter(|_| vmm.now().ongoing.is_none()) {
        answering.end();
    }
    vmm.now().guest = Guest::Gone;
    vmm.take_terminal();
    status
}

/// Waits for the reason to end, says it, gives up what is under way, and tells the exit status.
async fn end(vmm: &Vmm, mut ended: mpsc::UnboundedReceiver<Ending>, signals: &mut Signals) -> u8 {
    let (status, why) = loop {
        let ending = tokio::select! {
            ending = ended.recv() => ending.unwrap_or(Ending::Asked),
            (status, signal) = signals.next() => {
                break (status, Cancellation::ProcessEnds(format!("it was ended by {signal}")));
            }
        };
        if let Some(last) = vmm.outlive(ending).await {
            break said(last);
        }
    };
    vmm.give_up_migration(why).await;
    status
}

/// Says why the process ends; its exit status, and what the other side of a migration is told.
fn said(ending: Ending) -> (u8, Cancellation) {
    match ending {
        Ending::Guest { exit, .. } => {
            notice(&exit);
            (exit.code(), Cancellation::GuestEnded(exit.to_string()))
        }
        Ending::MovedTo(address) => {
            notice(format_args!("the guest now runs at {address}; this process ends"));
            (0, Cancellation::ProcessEnds("the guest has moved away".into()))
        }
        Ending::CannotGoOn(why) => {
            notice(&why);
            (1, Cancellation::ProcessEnds(why))
        }
        Ending::LetGo | Ending::Asked => (0, Cancellation::ProcessEnds("it was asked to shut down".into())),
    }
}

/// The signals that end a process.
struct Signals([(tokio::signal::unix::Signal, u8); 3]);

impl Signals {
    /// From here on they no longer kill.
    fn catch() -> io::Result<Self> {
        let caught = |kind: SignalKind| {
            // A signal's number is small, and the shell's convention for its status is 128 above it.
            let status = 128 + kind.as_raw_value() as u8;
            signal(kind).map(|signal| (signal, status))
        };
        Ok(Self([
            caught(SignalKind::interrupt())?,
            caught(SignalKind::terminate())?,
            caught(SignalKind::hangup())?,
        ]))
    }

    /// The exit status for the first that comes, and its name.
    async fn next(&mut self) -> (u8, &'static str) {
        let [(interrupt, a), (terminate, b), (hangup, c)] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => (*a, "SIGINT"),
            _ = terminate.recv() => (*b, "SIGTERM"),
            _ = hangup.recv() => (*c, "SIGHUP"),
        }
    }
}
