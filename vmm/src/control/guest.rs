//! The guest of this process, and what can be done to it in which state.
//!
//! The right to run moves with the states: [`Guest::Paused`] holds the token, [`Guest::Running`] has spent it, and
//! [`Guest::Surrendered`] has given it to a target that has not answered. There is no way from there to running but
//! [`Guest::take_back`]: the engine calls it on the target's promise never to run the guest, and a user may decide
//! it by resolving a migration of unknown outcome.

use std::mem;

use godwit_migration::shape::MachineShape;
use godwit_state::Sections;

use crate::{
    ConfigError, ExitSender, IncomingConfig, Machine, MachineConfig, MachineError, RunToken, api::VmState,
};

/// Said where there is nothing.
const NOTHING: &str = "there is no guest here yet";

/// What a process has.
pub enum Guest {
    /// No guest yet.
    Empty,
    /// It is known what the guest is to be made of.
    Created,
    /// A machine that a source is filling.
    Arriving(Machine),
    /// It stands still, and may run on.
    Paused(Machine, RunToken),
    /// It runs.
    Running(Machine),
    /// It stands still, and the right to run it has been given away.
    Surrendered(Machine),
    /// It runs elsewhere now.
    Gone,
    /// It ended here, for this reason, and can be booted anew.
    Ended(String),
}

/// Why something cannot be done to the guest.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// There is no guest, nor what one would be made of.
    #[error("{wanted} is not possible: {NOTHING}")]
    Absent {
        /// What was wanted.
        wanted: &'static str,
    },
    /// There is no kernel, or something that cannot be.
    #[error("{wanted} is not possible")]
    Config {
        /// What was wanted.
        wanted: &'static str,
        /// What is wrong.
        source: ConfigError,
    },
    /// Not in this state.
    #[error("{wanted} is not possible: {is}")]
    State {
        /// What was wanted.
        wanted: &'static str,
        /// The state, in words.
        is: &'static str,
    },
    /// The machine failed.
    #[error("{wanted} failed")]
    Machine {
        /// What was wanted.
        wanted: &'static str,
        /// What the machine said.
        source: MachineError,
    },
}

impl Guest {
    /// The state in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Empty => NOTHING,
            Self::Created => "the guest has been created, and not booted",
            Self::Arriving(_) => {
                "the guest is still arriving, and only the word of its source, or `godwit resolve`, starts it"
            }
            Self::Paused(..) => "the guest is paused",
            Self::Running(_) => "the guest is running",
            Self::Surrendered(_) => {
                "the right to run the guest was given to a target that has not answered, which may be running it; `godwit \
                 resolve` asks there again, and decides"
            }
            Self::Gone => "the guest runs elsewhere now",
            Self::Ended(_) => "the guest has ended",
        }
    }

    /// The state in the API's words.
    #[must_use]
    pub fn state(&self) -> VmState {
        match self {
            Self::Empty | Self::Created | Self::Arriving(_) => VmState::Created,
            Self::Paused(..) | Self::Surrendered(_) => VmState::Paused,
            Self::Running(_) => VmState::Running,
            Self::Gone | Self::Ended(_) => VmState::Shutdown,
        }
    }

    /// The machine, where there is one.
    #[must_use]
    pub fn machine(&self) -> Option<&Machine> {
        match self {
            Self::Arriving(machine)
            | Self::Paused(machine, _)
            | Self::Running(machine)
            | Self::Surrendered(machine) => Some(machine),
            Self::Empty | Self::Created | Self::Gone | Self::Ended(_) => None,
        }
    }

    /// Why it is not possible in this state.
    pub(super) fn not(&self, wanted: &'static str) -> GuestError {
        match self {
            Self::Empty => GuestError::Absent { wanted },
            other => GuestError::State { wanted, is: other.words() },
        }
    }

    /// The machine, where one is there.
    ///
    /// # Errors
    /// Where none is.
    pub fn present(&self, wanted: &'static str) -> Result<&Machine, GuestError> {
        self.machine().ok_or_else(|| self.not(wanted))
    }

    /// Whether a guest may come from elsewhere.
    ///
    /// # Errors
    /// When there is one, or has been.
    pub fn awaits_one(&self, wanted: &'static str) -> Result<(), GuestError> {
        match self {
            Self::Empty | Self::Created => Ok(()),
            other => Err(other.not(wanted)),
        }
    }

    /// Whether a guest may be booted.
    ///
    /// # Errors
    /// When none was created, or it has not ended here.
    pub fn awaits_boot(&self, wanted: &'static str) -> Result<(), GuestError> {
        match self {
            Self::Created | Self::Ended(_) => Ok(()),
            other => Err(other.not(wanted)),
        }
    }

    /// Created or ended → running, from a cold start.
    ///
    /// # Errors
    /// In every other state, and where the machine cannot be made or run; then nothing has changed.
    pub fn boot(&mut self, config: &MachineConfig, exits: ExitSender) -> Result<(), GuestError> {
        const WANTED: &str = "booting";
        self.awaits_boot(WANTED)?;
        let failed = |source| GuestError::Machine { wanted: WANTED, source };
        let (mut machine, token) = Machine::boot(config, exits).map_err(failed)?;
        machine.resume(token).map_err(|(_token, error)| failed(error))?;
        *self = Self::Running(machine);
        Ok(())
    }

    /// Running or paused → ended, for this reason. The machine is handed out, to be taken down.
    ///
    /// # Errors
    /// In every other state: what has not run cannot end, and what may be running elsewhere has not.
    pub fn shut_down(&mut self, why: &str) -> Result<Machine, GuestError> {
        match mem::replace(self, Self::Ended(why.into())) {
            Self::Running(machine) | Self::Paused(machine, _) => Ok(machine),
            other => {
                *self = other;
                Err(self.not("shutting down"))
            }
        }
    }

    /// The machine of a guest that runs.
    ///
    /// # Errors
    /// In every other state.
    pub fn running(&self, wanted: &'static str) -> Result<&Machine, GuestError> {
        match self {
            Self::Running(machine) => Ok(machine),
            other => Err(other.not(wanted)),
        }
    }

    /// Running → paused.
    ///
    /// # Errors
    /// When it does not run, or the machine cannot stop, and then runs on.
    pub fn pause(&mut self) -> Result<(), GuestError> {
        const WANTED: &str = "pausing";
        let Self::Running(machine) = self else { return Err(self.not(WANTED)) };
        let token = machine.pause().map_err(|source| GuestError::Machine { wanted: WANTED, source })?;
        self.become_next(|guest| match guest {
            Self::Running(machine) => Self::Paused(machine, token),
            other => other,
        });
        Ok(())
    }

    /// Paused → running.
    ///
    /// # Errors
    /// When it is not paused, or the machine cannot run, and then stays paused.
    pub fn resume(&mut self) -> Result<(), GuestError> {
        const WANTED: &str = "resuming";
        match mem::replace(self, Self::Empty) {
            Self::Paused(mut machine, token) => match machine.resume(token) {
                Ok(()) => {
                    *self = Self::Running(machine);
                    Ok(())
                }
                Err((token, source)) => {
                    *self = Self::Paused(machine, token);
                    Err(GuestError::Machine { wanted: WANTED, source })
                }
            },
            other => {
                *self = other;
                Err(self.not(WANTED))
            }
        }
    }

    /// The state of everything but memory.
    ///
    /// # Errors
    /// When it is not paused, or something cannot be read.
    pub fn save(&self) -> Result<Sections, GuestError> {
        const WANTED: &str = "saving the state";
        match self {
            Self::Paused(machine, _) => {
                machine.save().map_err(|source| GuestError::Machine { wanted: WANTED, source })
            }
            other => Err(other.not(WANTED)),
        }
    }

    /// Paused → surrendered: the token is gone, and with it what only a machine with it may hold.
    pub fn give_up(&mut self) {
        self.become_next(|guest| match guest {
            Self::Paused(machine, _spent) => {
                machine.release();
                Self::Surrendered(machine)
            }
            other => other,
        });
    }

    /// Surrendered → paused: the target will never run the guest.
    pub fn take_back(&mut self) {
        self.become_next(|guest| match guest {
            Self::Surrendered(machine) => Self::Paused(machine, Machine::grant_from_peer()),
            other => other,
        });
    }

    /// Surrendered → gone: the target runs it. The machine is handed out, to be taken down when there is time.
    pub fn depart(&mut self) -> Option<Machine> {
        match mem::replace(self, Self::Empty) {
            Self::Surrendered(machine) => {
                *self = Self::Gone;
                Some(machine)
            }
            other => {
                *self = other;
                None
            }
        }
    }

    /// Empty or created → arriving: an empty machine of `shape`.
    ///
    /// # Errors
    /// When there is a guest, or the machine cannot be made.
    pub fn prepare(
        &mut self,
        shape: &MachineShape,
        config: &IncomingConfig,
        exits: ExitSender,
    ) -> Result<(), GuestError> {
        const WANTED: &str = "making a machine for the guest";
        self.awaits_one(WANTED)?;
        let machine = Machine::for_incoming(shape, config, exits)
            .map_err(|source| GuestError::Machine { wanted: WANTED, source })?;
        *self = Self::Arriving(machine);
        Ok(())
    }

    /// Loads the state into the arriving machine.
    ///
    /// # Errors
    /// When none is arriving, or the state cannot be loaded.
    pub fn restore(&mut self, sections: &Sections) -> Result<(), GuestError> {
        const WANTED: &str = "loading the state";
        let Self::Arriving(machine) = self else { return Err(self.not(WANTED)) };
        machine.restore(sections).map_err(|source| GuestError::Machine { wanted: WANTED, source })
    }

    /// Arriving → running: the source has given the right to run.
    ///
    /// # Errors
    /// When none is arriving, or the machine cannot run, and then never has.
    pub fn arrive(&mut self) -> Result<(), GuestError> {
        const WANTED: &str = "running the guest";
        match mem::replace(self, Self::Empty) {
            Self::Arriving(mut machine) => match machine.resume(Machine::grant_from_peer()) {
                Ok(()) => {
                    *self = Self::Running(machine);
                    Ok(())
                }
                Err((_token, source)) => {
                    *self = Self::Arriving(machine);
                    Err(GuestError::Machine { wanted: WANTED, source })
                }
            },
            other => {
                *self = other;
                Err(self.not(WANTED))
            }
        }
    }

    /// Arriving → as before it: the guest never ran here.
    pub fn discard(&mut self, was_created: bool) {
        if let Self::Arriving(_) = self {
            *self = if was_created { Self::Created } else { Self::Empty };
        }
    }

    fn become_next(&mut self, next: impl FnOnce(Self) -> Self) {
        *self = next(mem::replace(self, Self::Empty));
    }
}
