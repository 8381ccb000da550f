//! What a migration asks of a machine.

use std::{sync::Arc, time::Duration};

use godwit_migration::{
    host::{DirtySource, FreePages, HostError, PageSink, PageSource},
    shape::MachineShape,
    slow::Throttle,
    wire::Answer,
};
use godwit_state::Sections;

/// The machine at the source. Called from one thread; the guest runs on others.
pub trait SourceHost {
    /// What the target must be able to offer.
    fn shape(&self) -> MachineShape;

    /// Its memory, for the lanes.
    fn pages(&self) -> Arc<dyn PageSource>;

    /// Which pages are written, for the driver and the lanes.
    fn dirty(&self) -> Arc<dyn DirtySource>;

    /// Which pages hold nothing, where the machine knows of any.
    fn free_pages(&self) -> Option<Arc<dyn FreePages>> {
        None
    }

    /// Slows the guest from here on, or lets it go again. Harmless when nothing changes, also when the guest is paused.
    ///
    /// # Errors
    /// Where this machine cannot slow its guest so.
    fn throttle(&mut self, throttle: Throttle) -> Result<(), HostError>;

    /// The time that throttling has taken from the vCPUs, all together, as measured where they slept.
    fn slowed(&self) -> Duration;

    /// Stops the guest: when it returns, nothing writes to memory, neither vCPU nor device.
    ///
    /// # Errors
    /// Where the machine cannot; it then runs on or is paused, and `resume` will be called.
    fn pause(&mut self) -> Result<(), HostError>;

    /// The state of everything but memory. Paused only.
    ///
    /// # Errors
    /// Where something cannot be read.
    fn save(&mut self) -> Result<Sections, HostError>;

    /// Lets the guest run on after a failed migration. Harmless when it runs.
    ///
    /// # Errors
    /// Where it cannot.
    fn resume(&mut self) -> Result<(), HostError>;

    /// Puts on record that the right to run this guest is given up, in the migration of this session, and gives it up.
    /// After this `resume` fails, unless [`take_back`](Self::take_back) was called in between.
    ///
    /// # Errors
    /// Where the record cannot be written; the right is then still here.
    fn give_up(&mut self, session: u128) -> Result<(), HostError>;

    /// The target has promised never to run the guest, or was never told that it may: the right to run is here again.
    fn take_back(&mut self);
}

/// The machine at the target. Called from one thread.
pub trait TargetHost {
    /// *Every* reason why this host cannot make a machine of this shape, in words; none where it can. Makes nothing.
    fn check(&self, shape: &MachineShape) -> Vec<String>;

    /// Puts on record that the migration of this session has begun here, and makes a machine of this shape, empty and
    /// not running.
    ///
    /// # Errors
    /// *Every* reason why this host cannot, in words.
    fn prepare(&mut self, session: u128, shape: &MachineShape) -> Result<(), Vec<String>>;

    /// Its memory, for the lanes. Only after `prepare`.
    ///
    /// # Errors
    /// Without a machine.
    fn pages(&self) -> Result<Arc<dyn PageSink>, HostError>;

    /// Loads the state: afterwards nothing is left that could fail.
    ///
    /// # Errors
    /// State that cannot be loaded here.
    fn build(&mut self, state: &Sections) -> Result<(), HostError>;

    /// Takes the right to run, puts that on record, and only then lets the guest run.
    ///
    /// # Errors
    /// Where it cannot, the record included; the guest has then never run here.
    fn run(&mut self) -> Result<(), HostError>;

    /// Throws the machine away, which never ran, and puts on record that it never will.
    fn discard(&mut self);

    /// What became of the guest of a session that is over, or of which nothing is known.
    fn answer(&self, session: u128) -> Answer;
}
