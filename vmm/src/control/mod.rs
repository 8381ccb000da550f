//! The owner of this process's guest: one at most, in a state that says what can be done to it.
//!
//! [`Vmm`] is what the API acts on ([`Service`](crate::api::Service)), what migrations act on (the hosts in
//! `outgoing` and `incoming`), and what [`process`] lives around; `life` makes and ends its guests. Machines come from `machine`, bytes move in
//! `godwit-transport`; nothing here knows KVM or the wire.

#[cfg(test)]
mod balloon_test;
mod counters;
#[cfg(test)]
mod disk_test;
#[cfg(test)]
mod fuzz_test;
mod guest;
#[cfg(test)]
mod guest_test;
mod incoming;
mod life;
#[cfg(test)]
mod life_test;
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
pub use incoming::{Patience, Place};
pub(crate) use notice::notice;
pub use outgoing::{DEFAULT_DOWNTIME, DEFAULT_TIMEOUT, MOST_DEFAULT_LANES, default_lanes};
use resolve::Open;
pub use settle::{SettleError, Settled, settle};

use crate::{
    Exit, ExitSender, IncomingConfig, Machine, SerialConfig,
    api::{Refusal, Unsettled, VmConfig},
    record::Ledger,
    sandbox::Allowed,
};

/// Why the process is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The guest ended.
    Guest {
        /// Which machine had it, counted from 1: where a process outlives its guest, word of it can come late.
        machine: u64,
        /// Why.
        exit: Exit,
    },
    /// The guest runs there now.
    MovedTo(String),
    /// The copy of a guest that is the target's by now was let go.
    LetGo,
    /// A client asked for it.
    Asked,
    /// There is nothing that it could live for: waiting for a guest cannot be done, or its guest not be booted again.
    CannotGoOn(String),
}

/// A migration under way, or what excludes one.
#[derive(Clone)]
pub enum Ongoing {
    /// The guest is leaving.
    Outgoing(Handle),
    /// A guest is awaited or arriving.
    Incoming(Handle, Patience),
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
            Self::Outgoing(handle) | Self::Incoming(handle, _) => Some(handle),
            Self::Recording | Self::Resolving => None,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Outgoing(_) => "the guest is being moved away; cancel that first, or wait for its end",
            Self::Incoming(_, Patience::Once) => "a guest is awaited here; cancel that first",
            Self::Incoming(_, Patience::UntilArrived) => "a guest is awaited here until one has arrived",
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
    /// What the guest is made of, from when it was created, or has arrived, until it is deleted.
    pub config: Option<VmConfig>,
    /// Number of the machine that is here, or was last; its reports of an end bear it.
    machine: u64,
}

/// How long a VMM process lives, and what its clients may have made.
#[derive(Debug, Clone)]
pub enum Tenure {
    /// As long as its one guest, which its command line names or waits for.
    Guest,
    /// Until it is told to end: its clients make guests, of these files, or of any.
    Process(Option<Allowed>),
}

/// A VMM process's one guest, shared by all who act on it.
pub struct Vmm {
    now: Mutex<Now>,
    endings: mpsc::UnboundedSender<Ending>,
    tenure: Tenure,
    /// How a guest that arrives is set up, where none was created that says so.
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
        tenure: Tenure,
        incoming: IncomingConfig,
        endings: mpsc::UnboundedSender<Ending>,
        ledger: Ledger,
    ) -> Arc<Self> {
        let now = Now {
            guest: Guest::Empty,
            ongoing: None,
            report: None,
            open: None,
            last_session: 0,
            config: None,
            machine: 0,
        };
        Arc::new(Self {
            now: Mutex::new(now),
            endings,
            tenure,
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

    /// Where this machine reports that its guest ended.
    fn exits(&self, machine: u64) -> ExitSender {
        let endings = self.endings.clone();
        ExitSender::new(move |exit| {
            // Nobody to tell means that the process is ending.
            let _ = endings.send(Ending::Guest { machine, exit });
        })
    }

    /// This side of the guest that is here or comes: as it was created, or as the command line has it.
    fn own_side(&self, now: &Now) -> IncomingConfig {
        let IncomingConfig { serial, dirty, devices } = self.incoming.clone();
        match &now.config {
            Some(config) => {
                IncomingConfig { serial: config.serial.clone(), dirty, devices: config.devices.clone() }
            }
            None => IncomingConfig { serial, dirty, devices },
        }
    }

    /// Gives the terminal to the guest, where its console is there. Signals that end the process must have been
    /// caught before, or the terminal's own handlers would run beside them.
    pub fn give_terminal(&self) {
        let side = self.own_side(&self.now());
        if side.serial != SerialConfig::Stdio && !side.devices.has_terminal() {
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
            (None, Some(Ongoing::Incoming(handle, _))) if handle.ready_and_alone() == Some(true) => Some(Unsettled {
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
