//! One entry into the guest, and what its exit asks for.

use std::{sync::Arc, time::Instant};

use godwit_devices::{MmioBus, PioBus, StopLine};
use godwit_migration::shape::CpuidEntry;
use kvm_bindings::{
    KVM_EXIT_DIRTY_RING_FULL, KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN,
};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::{
    brake::{Done, Waits},
    host::HostCpu,
    state::{RestoreContext, VcpuState},
    sys,
};
use crate::{
    dirty::ring::KvmDirtyRing,
    exit::{Exit, ExitSender},
    kvm::KvmError,
};

/// What a vCPU can reach.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Devices by port.
    pub pio: Arc<PioBus>,
    /// Devices by address.
    pub mmio: Arc<MmioBus>,
    /// Where devices ask for the end of the run.
    pub stop: StopLine,
    /// Where the end of the run is reported.
    pub exits: ExitSender,
    /// The dirty rings, where the machine has them.
    pub ring: Option<Arc<KvmDirtyRing>>,
    /// Size of the `kvm_run` mapping.
    pub run_bytes: usize,
    /// What the host has for a vCPU.
    pub cpu: HostCpu,
}

/// What comes after an entry into the guest.
pub(super) enum Step {
    /// Enter again.
    Again,
    /// Somebody kicked: look for commands.
    Interrupted,
    /// The run is over, and has been reported.
    Over,
}

/// An exit in terms of what is to be done, without a borrow of the vCPU.
enum Todo {
    Nothing,
    Port,
    RingFull,
    Interrupted,
    Report(Exit),
    InternalError,
}

/// A vCPU on its own thread.
pub(super) struct Runner {
    id: u8,
    fd: VcpuFd,
    /// What was set; KVM's own list shows bits that follow the guest's registers, on some hosts more.
    cpuid: Vec<CpuidEntry>,
    around: Surroundings,
    waits: Waits,
}

impl Runner {
    /// vCPU `id`, whose CPUID was set to `cpuid`. For the calling thread to run.
    pub(super) fn new(id: u8, fd: VcpuFd, cpuid: Vec<CpuidEntry>, around: Surroundings) -> Self {
        Self { id, fd, cpuid, around, waits: Waits::of_this_thread() }
    }

    /// Its number.
    pub(super) fn id(&self) -> u8 {
        self.id
    }

    /// Where it reports the end of the run.
    pub(super) fn exits(&self) -> ExitSender {
        self.around.exits.clone()
    }

    /// Makes the calling thread's kicks reach it.
    pub(super) fn kickable(&mut self) -> sys::Kickable {
        sys::Kickable::new(&mut self.fd)
    }

    /// Enters the guest once and deals with the exit.
    pub(super) fn step(&mut self) -> Step {
        match self.enter() {
            Todo::Nothing => Step::Again,
            Todo::Port => self.port(),
            Todo::RingFull => self.relieve_ring(),
            Todo::Interrupted => {
                self.fd.set_kvm_immediate_exit(0);
                Step::Interrupted
            }
            Todo::Report(exit) => self.over(exit),
            Todo::InternalError => {
                let what = sys::internal_error(&mut self.fd);
                let rip = self.fd.get_regs().map_or(0, |regs| regs.rip);
                self.over(Exit::KvmInternal(format!("vCPU {} at rip {rip:#x}: {what}", self.id)))
            }
        }
    }

    /// What it did up to now, for the brake. Its pages are known where it has a dirty ring.
    pub(super) fn done(&self) -> Done {
        let pages = self.around.ring.as_ref().map_or(0, |ring| ring.dirtied(self.id));
        Done { at: Instant::now(), ready: self.waits.ready_time(), pages }
    }

    /// Has KVM complete the access of the last exit, without running guest code.
    pub(super) fn complete(&mut self) {
        self.fd.set_kvm_immediate_exit(1);
        loop {
            match self.enter() {
                Todo::Port => drop(self.port()),
                Todo::Nothing => {}
                _ => break,
            }
        }
        self.fd.set_kvm_immediate_exit(0);
    }

    /// Has KVM tell the guest, through its clock page, that it was stopped, so that its watchdogs forgive the gap.
    pub(super) fn mention_pause(&self) {
        match self.fd.kvmclock_ctrl() {
            // A guest without the KVM clock has no such page.
            Err(errno) if errno.errno() != libc::EINVAL => {
                tracing::warn!(
                    "vCPU {} cannot be told of its pause: KVM_KVMCLOCK_CTRL failed: {errno}",
                    self.id
                );
            }
            _ => {}
        }
    }

    /// The vCPU's state.
    pub(super) fn save(&self) -> Result<VcpuState, KvmError> {
        VcpuState::of(&self.fd, self.cpuid.clone(), self.around.cpu)
    }

    /// Takes a state over.
    pub(super) fn restore(&mut self, state: VcpuState, context: &RestoreContext) -> Result<(), KvmError> {
        state.apply(&self.fd, self.around.cpu, context)?;
        self.cpuid = state.cpuid;
        Ok(())
    }

    fn enter(&mut self) -> Todo {
        match self.fd.run() {
            Ok(VcpuExit::IoIn(..) | VcpuExit::IoOut(..)) => Todo::Port,
            Ok(VcpuExit::MmioRead(address, data)) => {
                self.around.mmio.read(address, data);
                Todo::Nothing
            }
            Ok(VcpuExit::MmioWrite(address, data)) => {
                self.around.mmio.write(address, data);
                Todo::Nothing
            }
            Ok(VcpuExit::Intr) => Todo::Interrupted,
            Ok(VcpuExit::Unsupported(KVM_EXIT_DIRTY_RING_FULL)) => Todo::RingFull,
            Ok(VcpuExit::InternalError) => Todo::InternalError,
            Ok(VcpuExit::Shutdown) => Todo::Report(Exit::TripleFault { vcpu: self.id }),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN, _)) => Todo::Report(Exit::PowerOff),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_RESET, _)) => Todo::Report(Exit::Reset),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_CRASH, _)) => {
                Todo::Report(Exit::GuestCrash { vcpu: self.id })
            }
            Ok(VcpuExit::FailEntry(reason, cpu)) => Todo::Report(Exit::KvmInternal(format!(
                "the host's CPU {cpu} refused to enter vCPU {}, hardware reason {reason:#x}",
                self.id
            ))),
            Ok(other) => {
                let what = format!("vCPU {} left the guest for an unknown reason: {other:?}", self.id);
                Todo::Report(Exit::KvmInternal(what))
            }
            Err(errno) => match errno.errno() {
                libc::EINTR => Todo::Interrupted,
                // A vCPU that waits for its start-up interrupt was woken; it may have come.
                libc::EAGAIN => Todo::Nothing,
                _ => Todo::Report(Exit::KvmInternal(format!("KVM_RUN of vCPU {} failed: {errno}", self.id))),
            },
        }
    }

    fn port(&mut self) -> Step {
        if let Some(io) = sys::port_io(&mut self.fd, self.around.run_bytes) {
            for access in io.data.chunks_mut(io.width) {
                if io.out {
                    self.around.pio.write(io.port, access);
                } else {
                    self.around.pio.read(io.port, access);
                }
            }
        }
        // The event loop reports what a device asked for; the guest must not go on meanwhile.
        if self.around.stop.asked().is_some() { Step::Over } else { Step::Again }
    }

    fn relieve_ring(&self) -> Step {
        match self.around.ring.as_ref().map(|ring| ring.relieve()) {
            Some(Ok(())) => Step::Again,
            Some(Err(error)) => self.over(Exit::KvmInternal(format!("vCPU {}: {error}", self.id))),
            None => {
                self.over(Exit::KvmInternal(format!("vCPU {} has a full dirty ring and no ring", self.id)))
            }
        }
    }

    fn over(&self, exit: Exit) -> Step {
        self.around.exits.send(exit);
        Step::Over
    }
}
