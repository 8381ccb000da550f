//! The machine: a VM with its memory, vCPUs and devices, that runs only for whoever holds the token.
//!
//! Glue: it knows who is asked in which order, and nothing of how they do it. `build` makes it, `wiring` lists the
//! devices, `save` has its state, `refusals` tells a source why its guest cannot come here.

mod balloon;
#[cfg(test)]
mod balloon_test;
#[cfg(test)]
mod bench;
mod build;
mod features;
#[cfg(test)]
mod features_test;
#[cfg(test)]
mod fuzz_test;
#[cfg(test)]
mod generation_test;
#[cfg(test)]
mod machine_test;
mod refusals;
mod save;
#[cfg(test)]
mod slowing_test;
#[cfg(test)]
mod tracking_test;
mod wiring;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use godwit_devices::{Counters, Device, GuestPanic};
use godwit_migration::{
    host::DirtySource,
    shape::{CpuShape, CpuidEntry, MachineShape, MemoryShape},
    slow::Throttle,
};
use kvm_ioctls::VmFd;

use self::{build::Built, wiring::Wiring};
use crate::{
    acpi,
    boot::{self, BootRequest, GuestMemory},
    config::{IncomingConfig, MachineConfig},
    device_set::DeviceSet,
    error::MachineError,
    event_loop::EventLoop,
    exit::ExitSender,
    kvm::KvmError,
    memory::{self, GuestPages},
    run_token::RunToken,
    vcpu::{Vcpu, host},
};

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Made for a guest that has not come yet.
    Incoming,
    /// Complete, and not running.
    Paused,
    /// Running guest code.
    Running,
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incoming => "waiting for its guest",
            Self::Paused => "paused",
            Self::Running => "running",
        })
    }
}

/// A machine. Dropping it ends its threads; what was handed out of its memory stays valid.
pub struct Machine {
    // The order is that of dropping: first whatever runs, then what it runs on.
    vcpus: Vec<Vcpu>,
    _events: EventLoop,
    wiring: Wiring,
    dirty: Arc<dyn DirtySource>,
    /// Whether it is known what each vCPU dirties.
    has_rings: bool,
    pages: Arc<GuestPages>,
    memory: GuestMemory,
    vm: Arc<VmFd>,
    state: RunState,
    /// CPUID of vCPU 0, and the frequency of its TSC in kHz, once there is a guest.
    cpuid: Vec<CpuidEntry>,
    tsc_khz: u32,
}

impl Machine {
    /// Makes the machine that `config` asks for, its kernel loaded. It does not run yet; the token is the right to
    /// run it.
    ///
    /// # Errors
    /// [`MachineError`]: which option, file or capability, and what to do.
    pub fn boot(config: &MachineConfig, exits: ExitSender) -> Result<(Self, RunToken), MachineError> {
        config.check()?;
        let shape = memory::shape(config.memory_bytes);
        let mut built = Built::new(&shape, config.cpus, &config.serial, config.dirty, &config.devices)?;
        let rsdp = acpi::write_tables(&built.memory, config.cpus, built.wiring.attached())?;
        built.wiring.generation.lock().unwrap_or_else(PoisonError::into_inner).renew()?;
        let request = BootRequest {
            kernel: &config.kernel,
            initrd: config.initrd.as_deref(),
            cmdline: &config.cmdline,
            rsdp,
        };
        let entry = boot::load(&built.memory, &request)?;
        built.set_cpuid()?;
        let cpuid = built.cpuids.first().cloned().unwrap_or_default();
        let mut tsc_khz = 0;
        if let Some(vcpu) = built.vcpus.first() {
            entry.apply(vcpu, &built.memory)?;
            tsc_khz = vcpu.get_tsc_khz().map_err(KvmError::call("KVM_GET_TSC_KHZ"))?;
        }
        let mut machine = Self::of(built, RunState::Paused, &exits)?;
        machine.cpuid = cpuid;
        machine.tsc_khz = tsc_khz;
        Ok((machine, RunToken::issue()))
    }

    /// Makes a machine of the shape that a source announced, without its content and without the right to run.
    ///
    /// # Errors
    /// [`MachineError::Shape`] for a shape that this build does not make, or as [`Machine::boot`].
    pub fn for_incoming(
        shape: &MachineShape,
        config: &IncomingConfig,
        exits: ExitSender,
    ) -> Result<Self, MachineError> {
        shape.check().map_err(MachineError::Shape)?;
        check_layout(&shape.memory)?;
        if let Some(reason) = refusals::devices_differ(&shape.devices, &config.devices).into_iter().next() {
            return Err(MachineError::Shape(reason));
        }
        let cpus = shape.cpus.count;
        let built = Built::new(&shape.memory, cpus, &config.serial, config.dirty, &config.devices)?;
        Self::of(built, RunState::Incoming, &exits)
    }

    /// Why a guest of that shape cannot run on this host, which has `devices` for it: every reason, in words. Empty when
    /// it can.
    #[must_use]
    pub fn refusals(shape: &MachineShape, devices: &DeviceSet) -> Vec<String> {
        refusals::of(shape, devices)
    }

    fn of(mut built: Built, state: RunState, exits: &ExitSender) -> Result<Self, MachineError> {
        let threads = built.start(exits)?;
        let pages = built.pages();
        Ok(Self {
            vcpus: threads.vcpus,
            _events: threads.events,
            wiring: built.wiring,
            has_rings: built.ring.is_some(),
            dirty: built.dirty,
            pages,
            memory: built.memory,
            vm: built.vm,
            state,
            cpuid: Vec::new(),
            tsc_khz: 0,
        })
    }

    /// What a target must offer to take this machine's guest. Finds out, the first time in this process, which MSRs
    /// the host's KVM can carry.
    ///
    /// # Errors
    /// Where KVM cannot be asked.
    pub fn shape(&self) -> Result<MachineShape, MachineError> {
        let host = host::probed()?;
        let cpus = CpuShape {
            count: self.cpus(),
            cpuid: self.cpuid.clone(),
            msrs: host.msrs.clone(),
            tsc_khz: self.tsc_khz,
            xsave_bytes: host.cpu.xsave_bytes as u32,
        };
        Ok(MachineShape { memory: memory::shape_of(&self.memory), cpus, devices: self.wiring.shape() })
    }

    /// Finds out now what [`shape`](Self::shape), and who checks one, would have to find out while somebody waits. What
    /// cannot be found out is told to them.
    pub fn know_host() {
        let _ = host::probed();
    }

    /// What the devices have counted since this process has the guest, by instance.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, Counters> {
        self.wiring.counters()
    }

    /// The right to run a guest whose source has given up its own: for a target that received `Go`, and nobody else.
    pub fn grant_from_peer() -> RunToken {
        RunToken::issue()
    }

    /// Runs the guest.
    ///
    /// # Errors
    /// The token back, and why it does not run.
    pub fn resume(&mut self, token: RunToken) -> Result<(), (RunToken, MachineError)> {
        match self.try_resume() {
            Ok(()) => {
                self.state = RunState::Running;
                drop(token);
                Ok(())
            }
            Err(error) => Err((token, error)),
        }
    }

    fn try_resume(&self) -> Result<(), MachineError> {
        self.expect(RunState::Paused, "run")?;
        // All or none: a device that cannot be had must not leave another machine without the others.
        if let Err(error) = self.wiring.each(claim) {
            self.release();
            return Err(error);
        }
        self.wiring.each(|device| {
            device.resume();
            Ok::<_, MachineError>(())
        })?;
        self.vcpus.iter().try_for_each(Vcpu::resume)
    }

    /// Lets go of what only one machine may use at a time, such as the locks of disk images: the right to run the guest is
    /// given up. Running it again takes hold again, or fails.
    pub fn release(&self) {
        let released = self.wiring.each(|device| {
            device.release();
            Ok::<_, Infallible>(())
        });
        // There is no error that could be.
        released.unwrap_or_else(|never| match never {});
    }

    /// Stops the guest. When this returns, neither a vCPU nor a device touches guest memory.
    ///
    /// # Errors
    /// [`MachineError::WrongState`] when it does not run.
    pub fn pause(&mut self) -> Result<RunToken, MachineError> {
        self.expect(RunState::Running, "be paused")?;
        let answers: Vec<_> = self.vcpus.iter().map(Vcpu::pause).collect::<Result<_, _>>()?;
        for (vcpu, answer) in self.vcpus.iter().zip(&answers) {
            vcpu.answer(answer)?;
        }
        self.wiring.each(|device| {
            device.pause();
            Ok::<_, MachineError>(())
        })?;
        self.state = RunState::Paused;
        Ok(RunToken::issue())
    }

    /// Slows the guest from here on, or lets it go; also when it is paused. The guest's pauses, saves and end do not wait
    /// for what is taken from it.
    ///
    /// # Errors
    /// [`MachineError::NoDirtyLimit`], or where a timer cannot be had; then no vCPU is slowed.
    pub fn throttle(&self, throttle: Throttle) -> Result<(), MachineError> {
        if matches!(throttle, Throttle::DirtyLimit(_)) && !self.has_rings {
            return Err(MachineError::NoDirtyLimit);
        }
        let slowed = self.throttle_each(throttle);
        if slowed.is_err() && throttle != Throttle::None {
            self.throttle_each(Throttle::None)?;
        }
        slowed
    }

    fn throttle_each(&self, throttle: Throttle) -> Result<(), MachineError> {
        let ask = |vcpu: &Vcpu| vcpu.throttle(throttle);
        let answers: Vec<_> = self.vcpus.iter().map(ask).collect::<Result<_, _>>()?;
        self.vcpus.iter().zip(&answers).try_for_each(|(vcpu, answer)| Ok(vcpu.answer(answer)??))
    }

    /// Whether it is known what each vCPU dirties, so that it can be limited.
    #[must_use]
    pub fn can_limit_dirtying(&self) -> bool {
        self.has_rings
    }

    /// Time that has been taken from the vCPUs, all together, since the machine was made.
    #[must_use]
    pub fn slowed(&self) -> Duration {
        self.vcpus.iter().map(Vcpu::slept).sum()
    }

    /// The guest's pages, to be sent or filled.
    #[must_use]
    pub fn pages(&self) -> Arc<GuestPages> {
        Arc::clone(&self.pages)
    }

    /// The guest's dirty tracking.
    #[must_use]
    pub fn dirty(&self) -> Arc<dyn DirtySource> {
        Arc::clone(&self.dirty)
    }

    /// Gives disk `name` a new size, of which the guest is told: `bytes`, to which a file is made to grow, or that which
    /// its image has by now.
    ///
    /// # Errors
    /// [`MachineError::NoDevice`], or [`MachineError::Disk`], which says why not.
    pub fn resize_disk(&self, name: &str, bytes: Option<u64>) -> Result<(), MachineError> {
        let is_meant = |(number, _): &(usize, _)| format!("disk{number}") == name;
        let Some((_, disk)) = self.wiring.disks.iter().enumerate().find(is_meant) else {
            return Err(MachineError::NoDevice {
                name: name.into(),
                what: "disk",
                count: self.wiring.disks.len(),
            });
        };
        let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(disk.update(|disk| disk.resize(bytes))?)
    }

    /// Presses the power button. What the guest makes of it is its own business.
    pub fn power_button(&self) {
        self.wiring.power.lock().unwrap_or_else(PoisonError::into_inner).press_power_button();
    }

    /// Gives the guest a new generation, of which it is told when it runs: for one that is made from a copy, whose random
    /// numbers must not be another's. A guest that moves keeps its own.
    ///
    /// # Errors
    /// [`MachineError::WrongState`] unless paused; [`MachineError::Generation`] where the host has no random numbers.
    pub fn renew_generation(&self) -> Result<(), MachineError> {
        self.expect(RunState::Paused, "be given a new generation")?;
        self.wiring.generation.lock().unwrap_or_else(PoisonError::into_inner).renew()?;
        self.wiring.power.lock().unwrap_or_else(PoisonError::into_inner).tell_of_generation();
        Ok(())
    }

    /// What the guest has told of a panic.
    #[must_use]
    pub fn guest_panic(&self) -> Option<GuestPanic> {
        let port = self.wiring.pvpanic.as_ref()?;
        port.lock().unwrap_or_else(PoisonError::into_inner).told()
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> RunState {
        self.state
    }

    /// Guest memory in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        memory::shape_of(&self.memory).bytes()
    }

    /// Number of vCPUs.
    #[must_use]
    pub fn cpus(&self) -> u8 {
        self.vcpus.len() as u8
    }

    /// Waits until the consoles have taken what the guest wrote; whether they did, each within `timeout`. Before the process
    /// ends.
    pub fn flush_console(&self, timeout: Duration) -> bool {
        // Each, also behind one that does not read.
        let flushed: Vec<bool> = self.wiring.consoles.iter().map(|console| console.flush(timeout)).collect();
        flushed.into_iter().all(|all| all)
    }

    fn expect(&self, state: RunState, wanted: &'static str) -> Result<(), MachineError> {
        if self.state == state { Ok(()) } else { Err(MachineError::WrongState { wanted, is: self.state }) }
    }
}

fn claim(device: &mut dyn Device) -> Result<(), MachineError> {
    let claimed = device.claim();
    claimed.map_err(|reason| MachineError::Claim { device: device.instance().to_owned(), reason })
}

/// Only the layout that this build makes itself: devices and KVM's own pages are in its hole.
fn check_layout(shape: &MemoryShape) -> Result<(), MachineError> {
    if *shape == memory::shape(shape.bytes()) {
        return Ok(());
    }
    Err(MachineError::Shape("its memory is laid out in another way than this build does".into()))
}
