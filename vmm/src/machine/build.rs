//! The steps in which a machine is made, up to threads that wait for the word to run.
//!
//! The order serves the guest's start: memory slots come before the interrupt controllers, because changing slots
//! waits until no vCPU or device can be using the old ones, and there are none yet.

use std::sync::Arc;

use godwit_migration::{
    host::DirtySource,
    shape::{CpuidEntry, MemoryShape},
};
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};

use super::wiring::Wiring;
use crate::{
    boot::{GuestMemory, layout},
    config::{DirtyKind, SerialConfig},
    cpuid::{self, MachineFeatures},
    device_set::DeviceSet,
    dirty::{Slots, log::KvmDirtyLog, ring::KvmDirtyRing},
    error::MachineError,
    event_loop::EventLoop,
    exit::ExitSender,
    kvm::{self, KvmError},
    memory::{self, GuestPages},
    vcpu::{Surroundings, Vcpu, host::HostCpu, state::shape_entry},
};

/// A machine without its threads.
pub(super) struct Built {
    pub kvm: Kvm,
    pub vm: Arc<VmFd>,
    pub memory: GuestMemory,
    pub vcpus: Vec<VcpuFd>,
    /// CPUID of each, where it was set.
    pub cpuids: Vec<Vec<CpuidEntry>>,
    pub wiring: Wiring,
    pub dirty: Arc<dyn DirtySource>,
    pub ring: Option<Arc<KvmDirtyRing>>,
}

/// The threads of a machine, and what it keeps of the rest.
pub(super) struct Threads {
    pub vcpus: Vec<Vcpu>,
    pub events: EventLoop,
}

impl Built {
    /// Makes VM, memory, interrupt controllers, vCPUs and devices.
    pub(super) fn new(
        shape: &MemoryShape,
        cpus: u8,
        serial: &SerialConfig,
        dirty: DirtyKind,
        devices: &DeviceSet,
    ) -> Result<Self, MachineError> {
        let kvm = kvm::open()?;
        let vm = Arc::new(kvm::create_vm(&kvm)?);
        let ring_bytes = match dirty {
            DirtyKind::Log => KvmDirtyLog::prepare(&vm).map(|()| None)?,
            DirtyKind::Ring => KvmDirtyRing::prepare(&vm).map(Some)?,
        };
        let memory = memory::allocate(shape)?;
        let slots = Slots::register(Arc::clone(&vm), &memory)?;
        create_chips(&vm)?;
        let vcpus = (0..cpus).map(|id| vm.create_vcpu(id.into()).map_err(KvmError::call("KVM_CREATE_VCPU")));
        let vcpus = vcpus.collect::<Result<Vec<_>, _>>()?;
        let wiring = Wiring::new(&vm, &memory, serial, devices)?;
        let (dirty, ring): (Arc<dyn DirtySource>, _) = match ring_bytes {
            None => (Arc::new(KvmDirtyLog::new(slots)), None),
            Some(bytes) => {
                let ring = Arc::new(KvmDirtyRing::new(slots, &vcpus, bytes)?);
                (ring.clone(), Some(ring))
            }
        };
        Ok(Self { kvm, vm, memory, vcpus, cpuids: Vec::new(), wiring, dirty, ring })
    }

    /// Gives each vCPU its CPUID.
    pub(super) fn set_cpuid(&mut self) -> Result<(), MachineError> {
        let supported = self.kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
        let supported = supported.map_err(KvmError::call("KVM_GET_SUPPORTED_CPUID"))?;
        let tsc_khz = self.vcpus.first().and_then(|vcpu| vcpu.get_tsc_khz().ok());
        let common = cpuid::for_machine(&supported, MachineFeatures { tsc_deadline_timer: true, tsc_khz })?;
        let count = self.vcpus.len() as u8;
        for (id, vcpu) in (0..count).zip(&self.vcpus) {
            let own = cpuid::for_vcpu(&common, id, count)?;
            vcpu.set_cpuid2(&own).map_err(KvmError::call("KVM_SET_CPUID2"))?;
            self.cpuids.push(own.as_slice().iter().map(shape_entry).collect());
        }
        Ok(())
    }

    /// The guest's pages by number.
    pub(super) fn pages(&self) -> Arc<GuestPages> {
        Arc::new(GuestPages::new(&self.memory))
    }

    /// Starts the threads; none runs guest code yet. Takes vCPUs, their CPUID and subscribers out of
    /// `self`.
    pub(super) fn start(&mut self, exits: &ExitSender) -> Result<Threads, MachineError> {
        let surroundings = Surroundings {
            pio: Arc::clone(&self.wiring.pio),
            mmio: Arc::clone(&self.wiring.mmio),
            stop: self.wiring.stop.clone(),
            exits: exits.clone(),
            ring: self.ring.clone(),
            run_bytes: self.vm.run_size(),
            cpu: HostCpu::of(&self.vm),
        };
        let fds = std::mem::take(&mut self.vcpus);
        let cpuids = std::mem::take(&mut self.cpuids).into_iter().chain(std::iter::repeat(Vec::new()));
        let vcpus = (0..).zip(fds.into_iter().zip(cpuids));
        let vcpus = vcpus.map(|(id, (fd, cpuid))| Vcpu::start(id, fd, cpuid, surroundings.clone()));
        let vcpus = vcpus.collect::<Result<_, _>>()?;
        let subscribers = std::mem::take(&mut self.wiring.subscribers);
        let events = EventLoop::start(subscribers, self.wiring.stop.clone(), exits.clone())?;
        Ok(Threads { vcpus, events })
    }
}

/// Interrupt controllers and timer, and the two pages that Intel CPUs need for real mode.
fn create_chips(vm: &VmFd) -> Result<(), KvmError> {
    vm.set_identity_map_address(layout::KVM_IDENTITY_MAP)
        .map_err(KvmError::call("KVM_SET_IDENTITY_MAP_ADDR"))?;
    vm.set_tss_address(layout::KVM_TSS as usize).map_err(KvmError::call("KVM_SET_TSS_ADDR"))?;
    vm.create_irq_chip().map_err(KvmError::call("KVM_CREATE_IRQCHIP"))?;
    let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
    vm.create_pit2(pit).map_err(KvmError::call("KVM_CREATE_PIT2"))
}
