//! The owner of this process's guest: one at most, in a state that says what can be done to it.
//!
//! [`Vmm`] is what the API acts on ([`Service`](crate::api::Service)), what migrations act on (the hosts in
//! `outgoing` and `incoming`), and what [`process`] lives around. Machines come from `machine`, bytes move in
//! `godwit-transport`; nothing here knows KVM or the wire.

#[cfg(test)]
mod balloon_test;
mod counters;
#[cfg(test)]
mod disk_test;
mod guest;
#[cfg(test)]
mod guest_test;
mod incoming;
mod notice;
mod outgoing;
pub mod process;
mod recording;
mod resolve;
mod service;
#[cfg(test)]
mod service_test;
mod settle;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use godwit_devices::serial::RawTerminal;
use godwit_migration::{report::Report, slow::Throttle};
use godwit_transport::handle::Handle;
use tokio::sync::mpsc;

pub use guest::{Guest, GuestError};
pub use incoming::Place;
pub(crate) use notice::notice;
pub use outgoing::{DEFAULT_DOWNTIME, DEFAULT_TIMEOUT, MOST_DEFAULT_LANES, default_lanes};
use resolve::Open;
pub use settle::{SettleError, Settled, settle};

use crate::{
    Exit, ExitSender, IncomingConfig, Machine, MachineConfig, SerialConfig,
    api::{ConsoleMode, Payload, Refusal, Serial, Unsettled},
    boot::Kernel,
    record::Ledger,
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

/// A migration under way, or what excludes one.
#[derive(Clone)]
pub enum Ongoing {
    /// The guest is leaving.
    Outgoing(Handle),
    /// A guest is awaited or arriving.
    Incoming(Handle),
    /// No migration: the guest's dirty pages are being recorded, with the tracking that a migration would need.
    Recording,
    /// No migration: the target of one is being asked what became of the guest.
    Resolving,
}

impl Ongoing {
    /// To watch and cancel a migration.
    #[must_use]
    pub fn handle(&self) -> Option<&Handle> {
        match self {
            Self::Outgoing(handle) | Self::Incoming(handle) => Some(handle),
            Self::Recording | Self::Resolving => None,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Outgoing(_) => "the guest is being moved away; cancel that first, or wait for its end",
            Self::Incoming(_) => "a guest is awaited here; cancel that first",
            Self::Resolving => "what became of the guest is being asked; wait for the end of that",
            Self::Recording => "the guest's dirty pages are being recorded; wait for the end of that",
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
    /// A migration whose outcome is unknown.
    open: Option<Arc<Open>>,
    /// The session of the last attempt to move the guest away, and how many there have been.
    last_session: u128,
    /// What was booted.
    payload: Payload,
}

/// A VMM process's one guest, shared by all who act on it.
pub struct Vmm {
    now: Mutex<Now>,
    endings: mpsc::UnboundedSender<Ending>,
    /// How a guest that arrives is set up.
    incoming: IncomingConfig,
    /// What is known of migrations, also on disk.
    ledger: Mutex<Ledger>,
    /// Who answers questions after a guest has arrived.
    answering: Mutex<Option<incoming::Answering>>,
    /// The terminal in raw mode, while a guest has it.
    terminal: Mutex<Option<RawTerminal>>,
}

impl Vmm {
    /// A process with nothing in it.
    #[must_use]
    pub fn empty(
        incoming: IncomingConfig,
        endings: mpsc::UnboundedSender<Ending>,
        ledger: Ledger,
    ) -> Arc<Self> {
        Self::new(Guest::Empty, Payload::default(), incoming, endings, ledger)
    }

    /// A process with a guest that was booted from `config`.
    #[must_use]
    pub fn booted(
        guest: Guest,
        config: &MachineConfig,
        endings: mpsc::UnboundedSender<Ending>,
        ledger: Ledger,
    ) -> Arc<Self> {
        let kernel = match &config.kernel {
            Kernel::Builtin(_) => "builtin:load".into(),
            Kernel::File(path) => path.display().to_string(),
        };
        let payload = Payload {
            kernel: Some(kernel),
            cmdline: Some(config.cmdline.clone()),
            initramfs: config.initrd.clone(),
        };
        let incoming = IncomingConfig {
            serial: config.serial.clone(),
            dirty: config.dirty,
            devices: config.devices.clone(),
        };
        Self::new(guest, payload, incoming, endings, ledger)
    }

    fn new(
        guest: Guest,
        payload: Payload,
        incoming: IncomingConfig,
        endings: mpsc::UnboundedSender<Ending>,
        ledger: Ledger,
    ) -> Arc<Self> {
        let now = Now { guest, ongoing: None, report: None, open: None, last_session: 0, payload };
        Arc::new(Self {
            now: Mutex::new(now),
            endings,
            incoming,
            ledger: Mutex::new(ledger),
            answering: Mutex::new(None),
            terminal: Mutex::new(None),
        })
    }

    /// What is true now, held still. Every step leaves it consistent, so a thread that died holding it did no harm.
    pub fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of migrations. Not to be held while [`now`](Self::now) is asked for.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
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
        if self.incoming.serial != SerialConfig::Stdio && !self.incoming.devices.has_terminal() {
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
            let mut now = self.0.now();
            now.ongoing = None;
            // The guest that stays here runs at its full speed again, if its vCPUs still listen.
            if let Some(Err(error)) = now.guest.machine().map(|machine| machine.throttle(Throttle::None)) {
                notice(format_args!("the guest may still be slowed: {error}"));
            }
            // And gets back what it has set aside to name its free pages.
            if let Some(Err(error)) = now.guest.machine().and_then(Machine::free_pages).map(|free| free.end())
            {
                notice(format_args!("the guest may lack memory: {error}"));
            }
        }
    }
}

impl Now {
    /// The migration that waits for a person, if one does.
    fn unsettled(&self) -> Option<Unsettled> {
        match (&self.open, &self.ongoing) {
            (Some(open), _) => Some(open.unsettled()),
            (None, Some(Ongoing::Incoming(handle))) if handle.ready_and_alone() == Some(true) => Some(Unsettled {
                outcome: "waiting".into(),
                session: String::new(),
                peer: "the source".into(),
                known: "the guest is ready here, the link to its source was lost, and no word came that it may run; it \
                        is waited for"
                    .into(),
            }),
            _ => None,
        }
    }

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
