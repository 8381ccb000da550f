//! The life of a VMM process: boot or wait, serve the API, and end with the right status and nothing left behind.
//!
//! The guest runs before anything else is set up; the API, signals and migrations share one thread.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use godwit_migration::cancellation::Cancellation;
use godwit_transport::address::Address;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use super::{
    Ending, Guest, Ongoing, Vmm, exits_into,
    incoming::{self, Place},
    notice,
};
use crate::{
    ConfigError, IncomingConfig, Machine, MachineConfig, MachineError, SerialConfig,
    api::{self, ApiSocket, SocketError},
    boot::Kernel,
    footprint,
    record::{Ledger, LeftOpen, RecordError},
    sandbox::{Paths, Sandbox, SandboxError},
};

/// How long a migration that is given up at the end of the process may take to say so to its peer.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long a slow reader of the console may hold the end of the process up.
const CONSOLE_FLUSH: Duration = Duration::from_secs(2);

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
    config: &MachineConfig,
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
    let mut paths = Paths::default();
    if let Kernel::File(kernel) = &config.kernel {
        paths.read.push(kernel.clone());
    }
    paths.read.extend(config.initrd.clone());
    paths.folders.extend(state_dir.map(Path::to_owned));
    paths.of_devices(&config.devices);
    let api = confined(&sandbox, paths, &config.serial, api)?;
    let (endings, ended) = mpsc::unbounded_channel();
    let (mut machine, token) = Machine::boot(config, exits_into(endings.clone()))?;
    machine.resume(token).map_err(|(_token, error)| error)?;
    let vmm = Vmm::booted(Guest::Running(machine), config, endings, ledger);
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
    paths.of_devices(&config.devices);
    let api = confined(&sandbox, paths, &config.serial, api)?;
    let (endings, ended) = mpsc::unbounded_channel();
    let vmm = Vmm::empty(config, endings, ledger);
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
    serial: &SerialConfig,
    api: Option<PathBuf>,
) -> Result<Option<ApiSocket>, ProcessError> {
    let socket =
        api.as_deref().map(|path| ApiSocket::bind_for(path, sandbox.uid, sandbox.gid)).transpose()?;
    paths.sockets.extend(api);
    paths.requests.extend(sandbox.api_dirs.iter().cloned());
    match serial {
        SerialConfig::File(path) => paths.write.push(path.clone()),
        SerialConfig::Socket(path) => paths.sockets.push(path.clone()),
        SerialConfig::Stdio | SerialConfig::Null => {}
    }
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
    let (status, why) = tokio::select! {
        ending = ended.recv() => match ending {
            Some(Ending::Guest(exit)) => {
                notice(&exit);
                (exit.code(), Cancellation::GuestEnded(exit.to_string()))
            }
            Some(Ending::MovedTo(address)) => {
                notice(format_args!("the guest now runs at {address}; this process ends"));
                (0, Cancellation::ProcessEnds("the guest has moved away".into()))
            }
            Some(Ending::CannotListen(why)) => {
                notice(&why);
                (1, Cancellation::ProcessEnds(why))
            }
            Some(Ending::Asked) | None => {
                (0, Cancellation::ProcessEnds("it was asked to shut down".into()))
            }
        },
        (status, signal) = signals.next() => {
            (status, Cancellation::ProcessEnds(format!("it was ended by {signal}")))
        }
    };
    let ongoing = vmm.now().ongoing.as_ref().and_then(Ongoing::handle).cloned();
    if let Some(handle) = ongoing {
        handle.cancel(why);
        let gone = async {
            while vmm.now().ongoing.is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(LAST_WORD, gone).await.is_err() {
            notice("the migration under way did not end in time; its peer will see the link close");
        }
    }
    status
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
