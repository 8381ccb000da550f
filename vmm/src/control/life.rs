//! The life of guests in one process: created, booted, rebooted, shut down, deleted; arrived; and what their ends mean.
//!
//! A guest is made from its `VmConfig` whoever asks: the command line of `godwit run` creates and boots as a client of
//! `godwit serve` does. Nothing here waits for a guest's consent; that is the power button's.

use std::time::Duration;

use godwit_migration::cancellation::Cancellation;

use super::{Ending, Guest, GuestError, Now, Ongoing, Tenure, Vmm, incoming::Answering, notice};
use crate::{
    Exit, Machine, MachineConfig,
    api::{Cpus, Memory, Payload, Refusal, VmConfig},
};

/// How long a slow reader of the console may hold the end of a guest up.
pub(super) const CONSOLE_FLUSH: Duration = Duration::from_secs(2);
/// How long a migration that is given up at the end of a guest may take to say so to its peer.
const LAST_WORD: Duration = Duration::from_secs(2);

impl Vmm {
    /// Takes what the guest shall be made of. Nothing is made yet.
    ///
    /// # Errors
    /// 400 for what cannot be or may not be named; in the wrong state where there is a guest.
    pub fn create(&self, config: VmConfig) -> Result<(), Refusal> {
        config.check().map_err(|error| Refusal::bad_request(error.to_string()))?;
        if let Tenure::Process(Some(allowed)) = &self.tenure
            && let Some(refusal) = allowed.refusal(&crate::sandbox::Paths::of(&config))
        {
            return Err(Refusal::bad_request(refusal));
        }
        let mut now = self.now();
        now.nothing_ongoing()?;
        let Guest::Empty = now.guest else {
            let words = now.guest.words();
            return Err(Refusal::wrong_state(format!(
                "creating a guest is not possible: {words}; there is one at a time, and vm.delete ends it"
            )));
        };
        now.guest = Guest::Created;
        now.config = Some(config);
        Ok(())
    }

    /// Makes the machine of what was created, and runs it.
    ///
    /// # Errors
    /// Where nothing was, where it runs already, or the machine cannot be made; then nothing has changed.
    pub fn boot(&self) -> Result<(), GuestError> {
        let mut now = self.now();
        now.guest.awaits_boot("booting")?;
        let config = self.bootable(&now)?;
        let machine = now.machine + 1;
        now.guest.boot(&config, self.exits(machine))?;
        now.machine = machine;
        Ok(())
    }

    /// Ends the guest at once, and boots it anew. A guest that came from elsewhere has no kernel here, and goes on.
    ///
    /// # Errors
    /// Where it neither runs nor is paused, or, when it has ended, cannot be booted.
    pub(super) fn reboot(&self) -> Result<(), GuestError> {
        {
            let now = self.now();
            now.guest.present("rebooting")?;
            self.bootable(&now)?;
        }
        self.shut_down("it was rebooted by a client")?;
        self.boot()
    }

    /// Ends the guest at once; what it is made of stays known.
    ///
    /// # Errors
    /// Where it neither runs nor is paused.
    pub(super) fn shut_down(&self, why: &str) -> Result<(), GuestError> {
        let machine = self.now().guest.shut_down(why)?;
        machine.flush_console(CONSOLE_FLUSH);
        self.take_terminal();
        Ok(())
    }

    /// Ends the guest, if there is one, and forgets what it was made of.
    ///
    /// # Errors
    /// Where the right to run it was given away: what became of it is to be settled first.
    pub(super) fn delete(&self) -> Result<(), GuestError> {
        let stands = match &self.now().guest {
            Guest::Running(_) | Guest::Paused(..) => true,
            Guest::Empty | Guest::Created | Guest::Gone | Guest::Ended(_) => false,
            other @ (Guest::Arriving(_) | Guest::Surrendered(_)) => return Err(other.not("deleting")),
        };
        if stands {
            self.shut_down("it was deleted by a client")?;
        }
        let mut now = self.now();
        (now.guest, now.config) = (Guest::Empty, None);
        drop(now);
        self.stop_answering();
        Ok(())
    }

    /// Runs the guest that has arrived, whose source has given up the right to.
    ///
    /// # Errors
    /// As [`Guest::arrive`].
    pub(super) fn arrive(&self) -> Result<(), GuestError> {
        let mut now = self.now();
        let own_side = self.own_side(&now);
        let config = described(now.guest.present("arriving")?, &now, own_side);
        now.guest.arrive()?;
        now.config = Some(config);
        Ok(())
    }

    /// Lets a guest go that never ran here.
    pub(super) fn discard(&self) {
        let mut now = self.now();
        let was_created = now.config.is_some();
        now.guest.discard(was_created);
    }

    /// Ends the thread that answers questions about the guest that arrived last.
    pub(super) fn stop_answering(&self) {
        let answering = self.answering.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        answering.into_iter().for_each(Answering::end);
    }

    /// What there is to boot.
    fn bootable(&self, now: &Now) -> Result<MachineConfig, GuestError> {
        const WANTED: &str = "booting";
        let config = now.config.as_ref().ok_or_else(|| now.guest.not(WANTED))?;
        MachineConfig::of(config, self.incoming.dirty)
            .map_err(|source| GuestError::Config { wanted: WANTED, source })
    }

    /// Does what the end of a guest, or its departure, asks of a process that goes on without it; gives back what ends the
    /// process.
    pub(super) async fn outlive(&self, ending: Ending) -> Option<Ending> {
        if let Ending::Guest { machine, .. } = ending
            && machine != self.now().machine
        {
            // Word of a machine that a client has ended meanwhile.
            return None;
        }
        match (&self.tenure, ending) {
            (Tenure::Guest, ending)
            | (
                _,
                ending @ (Ending::Asked | Ending::CannotGoOn(_) | Ending::Guest { exit: Exit::Quit, .. }),
            ) => {
                return Some(ending);
            }
            (_, Ending::Guest { exit, .. }) => self.guest_ended(&exit).await,
            (_, Ending::MovedTo(address)) => {
                notice(format_args!("the guest now runs at {address}"));
                self.take_terminal();
            }
            (_, Ending::LetGo) => self.take_terminal(),
        }
        None
    }

    async fn guest_ended(&self, exit: &Exit) {
        self.give_up_migration(Cancellation::GuestEnded(exit.to_string())).await;
        let anew = *exit == Exit::Reset && self.bootable(&self.now()).is_ok();
        match anew {
            // As often as the guest likes.
            true => tracing::info!("the guest asked for a reboot, and is booted anew"),
            false => notice(exit),
        }
        // It may have left in the same moment.
        if self.shut_down(&exit.to_string()).is_err() || !anew {
            return;
        }
        match self.boot() {
            Ok(()) => self.give_terminal(),
            Err(error) => notice(format_args!("{:#}", anyhow::Error::from(error))),
        }
    }

    /// Cancels the migration under way, if there is one, and waits for its end, though not for ever.
    pub(super) async fn give_up_migration(&self, why: Cancellation) {
        let handle = self.now().ongoing.as_ref().and_then(Ongoing::handle).cloned();
        let Some(handle) = handle else { return };
        handle.cancel(why);
        let gone = async {
            while self.now().ongoing.is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(LAST_WORD, gone).await.is_err() {
            notice("the migration under way did not end in time; its peer will see the link close");
        }
    }
}

/// What a machine that is here is made of.
pub(super) fn described(machine: &Machine, now: &Now, own_side: crate::IncomingConfig) -> VmConfig {
    let payload = match (&now.guest, &now.config) {
        (Guest::Arriving(_), _) | (_, None) => Payload::default(),
        (_, Some(config)) => config.payload.clone(),
    };
    let mut devices = own_side.devices;
    if let (Some(balloon), Some((_, wanted))) = (&mut devices.balloon, machine.balloon_bytes()) {
        balloon.size = wanted;
    }
    VmConfig {
        cpus: Cpus::of(machine.cpus()),
        memory: Memory { size: machine.memory_bytes() },
        payload,
        serial: own_side.serial,
        devices,
    }
}
