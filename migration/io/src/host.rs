//! What a migration asks of a machine.

use std::sync::Arc;

use godwit_migration::{
    host::{DirtySource, HostError, PageSink, PageSource},
    shape::MachineShape,
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

    /// Gives up the right to run this guest. After this `resume` fails, unless [`take_back`](Self::take_back) was
    /// called in between.
    fn give_up(&mut self);

    /// The target has promised never to run the guest: the right to run is here again.
    fn take_back(&mut self);
}

/// The machine at the target. Called from one thread.
pub trait TargetHost {
    /// Makes a machine of this shape, empty and not running.
    ///
    /// # Errors
    /// *Every* reason why this host cannot, in words.
    fn prepare(&mut self, shape: &MachineShape) -> Result<(), Vec<String>>;

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

    /// Takes the right to run, and lets the guest run.
    ///
    /// # Errors
    /// Where it cannot; the guest has then never run here.
    fn run(&mut self) -> Result<(), HostError>;

    /// Throws the machine away. It never ran.
    fn discard(&mut self);
}
