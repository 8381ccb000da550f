//! The life of a VMM process: boot or wait, serve the API, and end with the right status and nothing left behind.
//!
//! The guest runs before anything else is set up; the API, signals and migrations share one thread.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use godwit_transport::address::Address;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use super::{Ending, Guest, Ongoing, Vmm, exits_into, incoming, notice};
use crate::{
    ConfigError, IncomingConfig, Machine, MachineConfig, MachineError,
    api::{self, ApiSocket, SocketError},
};

/// How long a migration that is given up at the end of the process may take to say so to its peer.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long a slow reader of the console may hold the end of the process up.
const CONSOLE_FLUSH: Duration = Duration::from_millis(500);

/// Why a VMM process could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The API's socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
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

/// Boots a guest, and lives until it ends or has moved away.
///
/// # Errors
/// Where the guest never ran.
pub fn run(config: &MachineConfig, api: Option<PathBuf>) -> Result<u8, ProcessError> {
    config.check()?;
    let api = api.as_deref().map(ApiSocket::bind).transpose()?;
    let (endings, ended) = mpsc::unbounded_channel();
    let (mut machine, token) = Machine::boot(config, exits_into(endings.clone()))?;
    machine.resume(token).map_err(|(_token, error)| error)?;
    let vmm = Vmm::booted(Guest::Running(machine), config, endings);
    live(&vmm, api, None, ended)
}

/// Waits for a guest at `listen` (or for `vm.receive-migration`), and lives until it ends or has moved on.
///
/// # Errors
/// Where waiting could not begin.
pub fn receive(
    config: IncomingConfig,
    listen: Option<Address>,
    api: Option<PathBuf>,
) -> Result<u8, ProcessError> {
    let api = api.as_deref().map(ApiSocket::bind).transpose()?;
    let (endings, ended) = mpsc::unbounded_channel();
    let vmm = Vmm::empty(config, endings);
    live(&vmm, api, listen, ended)
}

fn live(
    vmm: &Arc<Vmm>,
    api: Option<ApiSocket>,
    listen: Option<Address>,
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
        if let Some(address) = listen {
            incoming::listen(vmm, address);
        }
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
    vmm.now().guest = Guest::Gone;
    vmm.take_terminal();
    status
}

/// Waits for the reason to end, says it, gives up what is under way, and tells the exit status.
async fn end(vmm: &Vmm, mut ended: mpsc::UnboundedReceiver<Ending>, signals: &mut Signals) -> u8 {
    let status = tokio::select! {
        ending = ended.recv() => match ending {
            Some(Ending::Guest(exit)) => {
                notice(&exit);
                exit.code()
            }
            Some(Ending::MovedTo(address)) => {
                notice(format_args!("the guest now runs at {address}; this process ends"));
                0
            }
            Some(Ending::CannotListen(why)) => {
                notice(why);
                1
            }
            Some(Ending::Asked) | None => 0,
        },
        status = signals.next() => status,
    };
    let ongoing = vmm.now().ongoing.as_ref().map(Ongoing::handle).cloned();
    if let Some(handle) = ongoing {
        handle.cancel();
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

    /// The exit status for the first that comes.
    async fn next(&mut self) -> u8 {
        let [(interrupt, a), (terminate, b), (hangup, c)] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => *a,
            _ = terminate.recv() => *b,
            _ = hangup.recv() => *c,
        }
    }
}
