//! The owner of this process's guest: one at most, in a state that says what can be done to it.
//!
//! [`Vmm`] is what the API acts on ([`Service`](crate::api::Service)), what migrations act on (the hosts in
//! `outgoing` and `incoming`), and what [`process`] lives around. Machines come from `machine`, bytes move in
//! `godwit-transport`; nothing here knows KVM or the wire.

mod guest;
#[cfg(test)]
mod guest_test;
mod incoming;
mod notice;
mod outgoing;
pub mod process;
mod service;
#[cfg(test)]
mod service_test;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use godwit_devices::serial::RawTerminal;
use godwit_migration::report::Report;
use godwit_transport::handle::Handle;
use tokio::sync::mpsc;

pub use guest::{Guest, GuestError};
pub(crate) use notice::notice;
pub use outgoing::{DEFAULT_DOWNTIME, DEFAULT_LANES, DEFAULT_TIMEOUT};

use crate::{
    Exit, ExitSender, IncomingConfig, MachineConfig, SerialConfig,
    api::{ConsoleMode, Payload, Refusal, Serial},
    boot::Kernel,
};

/// Why the process is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The guest ended.
    Guest(Exit),
    /// The guest runs there now.
    MovedTo(String),
    /// A client asked for it.
    Asked,
    /// Waiting for a guest is over: it cannot be done, in words.
    CannotListen(String),
}

/// A migration under way.
#[derive(Clone)]
pub enum Ongoing {
    /// The guest is leaving.
    Outgoing(Handle),
    /// A guest is awaited or arriving.
    Incoming(Handle),
}

impl Ongoing {
    /// To watch and cancel it.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        match self {
            Self::Outgoing(handle) | Self::Incoming(handle) => handle,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Outgoing(_) => "the guest is being moved away; cancel that first, or wait for its end",
            Self::Incoming(_) => "a guest is awaited here; cancel that first",
        }
    }
}

/// What is true at one moment.
pub struct Now {
    /// The guest.
    pub guest: Guest,
    /// The migration under way.
    pub ongoing: Option<Ongoing>,
    /// What the migration that ended last did.
    pub report: Option<Report>,
    /// What was booted.
    payload: Payload,
}

/// A VMM process's one guest, shared by all who act on it.
pub struct Vmm {
    now: Mutex<Now>,
    endings: mpsc::UnboundedSender<Ending>,
    /// How a guest that arrives is set up.
    incoming: IncomingConfig,
    /// The terminal in raw mode, while a guest has it.
    terminal: Mutex<Option<RawTerminal>>,
}

impl Vmm {
    /// A process with nothing in it.
    #[must_use]
    pub fn empty(incoming: IncomingConfig, endings: mpsc::UnboundedSender<Ending>) -> Arc<Self> {
        Self::new(Guest::Empty, Payload::default(), incoming, endings)
    }

    /// A process with a guest that was booted from `config`.
    #[must_use]
    pub fn booted(guest: Guest, config: &MachineConfig, endings: mpsc::UnboundedSender<Ending>) -> Arc<Self> {
        let kernel = match &config.kernel {
            Kernel::Builtin(_) => "builtin:load".into(),
            Kernel::File(path) => path.display().to_string(),
        };
        let payload = Payload {
            kernel: Some(kernel),
            cmdline: Some(config.cmdline.clone()),
            initramfs: config.initrd.clone(),
        };
        let incoming = IncomingConfig { serial: config.serial.clone(), dirty: config.dirty };
        Self::new(guest, payload, incoming, endings)
    }

    fn new(
        guest: Guest,
        payload: Payload,
        incoming: IncomingConfig,
        endings: mpsc::UnboundedSender<Ending>,
    ) -> Arc<Self> {
        let now = Now { guest, ongoing: None, report: None, payload };
        Arc::new(Self { now: Mutex::new(now), endings, incoming, terminal: Mutex::new(None) })
    }

    /// What is true now, held still. Every step leaves it consistent, so a thread that died holding it did no harm.
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the process to end. Nobody to ask means that it is ending.
    pub fn end(&self, ending: Ending) {
        let _ = self.endings.send(ending);
    }

    /// Where the machine reports that the guest ended.
    #[must_use]
    pub fn exits(&self) -> ExitSender {
        exits_into(self.endings.clone())
    }

    /// Gives the terminal to the guest, where its console is there. Signals that end the process must have been
    /// caught before, or the terminal's own handlers would run beside them.
    pub fn give_terminal(&self) {
        if self.incoming.serial != SerialConfig::Stdio {
            return;
        }
        match RawTerminal::enter() {
            Ok(terminal) => *self.terminal.lock().unwrap_or_else(PoisonError::into_inner) = terminal,
            Err(error) => {
                notice(format_args!("the terminal stays in its line mode, raw mode failed: {error}"));
            }
        }
    }

    /// Takes the terminal back, as it was.
    pub fn take_terminal(&self) {
        drop(self.terminal.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Where the console goes, in the API's words.
    fn serial(&self) -> Serial {
        let (mode, file, socket) = match &self.incoming.serial {
            SerialConfig::Stdio => (ConsoleMode::Tty, None, None),
            SerialConfig::File(path) => (ConsoleMode::File, Some(path.clone()), None),
            SerialConfig::Socket(path) => (ConsoleMode::Socket, None, Some(path.clone())),
            SerialConfig::Null => (ConsoleMode::Null, None, None),
        };
        Serial { mode, file, socket }
    }
}

/// Held by the thread that drives a migration: if it panics, no migration is under way any more, and the guest can
/// still be asked for, resumed or moved again.
struct Driving(Arc<Vmm>);

impl Drop for Driving {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.now().ongoing = None;
        }
    }
}

impl Now {
    /// Refuses while a migration is under way.
    fn nothing_ongoing(&self) -> Result<(), Refusal> {
        match &self.ongoing {
            None => Ok(()),
            Some(ongoing) => Err(Refusal::conflict(ongoing.words())),
        }
    }
}

/// Reports guests' ends to the process.
#[must_use]
pub fn exits_into(endings: mpsc::UnboundedSender<Ending>) -> ExitSender {
    ExitSender::new(move |exit| {
        // Nobody to tell means that the process is ending.
        let _ = endings.send(Ending::Guest(exit));
    })
}
