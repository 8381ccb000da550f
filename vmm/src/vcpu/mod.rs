//! vCPUs: each a thread of its own that runs its guest code, and answers to commands.
//!
//! This file is the machine's side: [`Vcpu`], the handle. Neighbours: `thread` is the other side of the channel,
//! `run` one entry into the guest and what to do about its exit, `state` what is saved, `msrs` which MSRs travel.

mod brake;
pub(crate) mod host;
mod msrs;
mod run;
pub(crate) mod state;
#[cfg(test)]
mod state_test;
mod sys;
mod thread;

use std::{
    sync::mpsc::{self, Receiver, Sender, SyncSender},
    thread::JoinHandle,
    time::Duration,
};

use godwit_migration::{shape::CpuidEntry, slow::Throttle};
use kvm_ioctls::VcpuFd;

use crate::{error::MachineError, kvm::KvmError};
use brake::Slept;
use run::Runner;
pub(crate) use run::Surroundings;
use state::{RestoreContext, VcpuState};

/// Stack of a vCPU's thread: device code is shallow.
const STACK_BYTES: usize = 256 << 10;

/// What a vCPU's thread is told. Each answer is the last thing done about the command.
enum Command {
    /// Run guest code.
    Resume,
    /// Stop running guest code; answered when the last exit is dealt with and the state is the guest's alone.
    Pause(SyncSender<()>),
    /// Let the vCPU lose so much of its work from here on.
    Throttle(Throttle, SyncSender<Result<(), KvmError>>),
    /// Answer with the state. Paused only.
    Save(SyncSender<Result<VcpuState, KvmError>>),
    /// Take the state over. Paused only.
    Restore(Box<VcpuState>, RestoreContext, SyncSender<Result<(), KvmError>>),
}

/// A vCPU: its thread, and the way to talk to it. Dropping it ends the thread.
pub(crate) struct Vcpu {
    id: u8,
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    slept: Slept,
}

impl Vcpu {
    /// Starts the thread of vCPU `id`, paused. `cpuid` is what was set for it, nothing if nothing was.
    pub(crate) fn start(
        id: u8,
        fd: VcpuFd,
        cpuid: Vec<CpuidEntry>,
        surroundings: Surroundings,
    ) -> Result<Self, MachineError> {
        sys::install_kick()?;
        let (commands, received) = mpsc::channel();
        let name = format!("vcpu{id}");
        let builder = std::thread::Builder::new().name(name.clone()).stack_size(STACK_BYTES);
        let slept = Slept::default();
        let thread = builder.spawn({
            let slept = slept.clone();
            move || thread::main(Runner::new(id, fd, cpuid, surroundings), &received, &slept)
        });
        let thread = thread.map_err(|source| MachineError::Thread { name, source })?;
        Ok(Self { id, commands: Some(commands), thread: Some(thread), slept })
    }

    /// Lets it run.
    pub(crate) fn resume(&self) -> Result<(), MachineError> {
        self.send(Command::Resume)
    }

    /// Asks it to pause; the answer comes when it has. Asking all before waiting for one pauses them together.
    pub(crate) fn pause(&self) -> Result<Receiver<()>, MachineError> {
        let (answer, receiver) = mpsc::sync_channel(1);
        self.send(Command::Pause(answer))?;
        Ok(receiver)
    }

    /// Slows it from here on, or lets it go; it may run or be paused.
    pub(crate) fn throttle(
        &self,
        throttle: Throttle,
    ) -> Result<Receiver<Result<(), KvmError>>, MachineError> {
        let (answer, receiver) = mpsc::sync_channel(1);
        self.send(Command::Throttle(throttle, answer))?;
        Ok(receiver)
    }

    /// Time that it has slept because it was slowed, since it was made.
    pub(crate) fn slept(&self) -> Duration {
        self.slept.get()
    }

    /// Asks for its state.
    pub(crate) fn save(&self) -> Result<Receiver<Result<VcpuState, KvmError>>, MachineError> {
        let (answer, receiver) = mpsc::sync_channel(1);
        self.send(Command::Save(answer))?;
        Ok(receiver)
    }

    /// Hands it a state to take over.
    pub(crate) fn restore(
        &self,
        state: VcpuState,
        context: RestoreContext,
    ) -> Result<Receiver<Result<(), KvmError>>, MachineError> {
        let (answer, receiver) = mpsc::sync_channel(1);
        self.send(Command::Restore(Box::new(state), context, answer))?;
        Ok(receiver)
    }

    /// Waits for an answer.
    pub(crate) fn answer<T>(&self, receiver: &Receiver<T>) -> Result<T, MachineError> {
        receiver.recv().map_err(|_| MachineError::VcpuGone(self.id))
    }

    fn send(&self, command: Command) -> Result<(), MachineError> {
        let gone = |_| MachineError::VcpuGone(self.id);
        self.commands
            .as_ref()
            .map_or(Err(MachineError::VcpuGone(self.id)), |c| c.send(command).map_err(gone))?;
        self.kick();
        Ok(())
    }

    /// Gets the thread out of the guest. It looks for commands then, and those were sent before.
    fn kick(&self) {
        if let Some(thread) = &self.thread {
            sys::kick(thread);
        }
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        // A closed channel is the command to end.
        drop(self.commands.take());
        self.kick();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the thread itself.
            let _ = thread.join();
        }
    }
}
