//! The state of a whole machine as sections, and back.
//!
//! Sections: `clock`, `irqchip` and `pit` of `vm`, `vcpu` of `vcpu0` and so on, then one for each device. The order
//! of a restore is explained in `crate::vm_state` and `crate::vcpu::state`. Everything is decoded and checked
//! before the first thing is set.

use godwit_state::{Schema, Section, Sections, StateError};

use super::{Machine, RunState};
use crate::{
    error::MachineError,
    vcpu::{Vcpu, host::HostCpu, state::VcpuState},
    vm_state::{ClockState, IrqchipState, PitState},
};

/// Instance name of the VM's own sections.
const VM: &str = "vm";

fn vcpu_name(id: usize) -> String {
    format!("vcpu{id}")
}

/// A machine's state, decoded and checked.
struct Decoded<'a> {
    clock: ClockState,
    irqchip: IrqchipState,
    pit: PitState,
    vcpus: Vec<VcpuState>,
    devices: Vec<&'a Section>,
}

impl Machine {
    /// The machine's state, memory apart.
    ///
    /// # Errors
    /// [`MachineError::WrongState`] unless paused; [`MachineError::Kvm`] or [`MachineError::State`].
    pub fn save(&self) -> Result<Sections, MachineError> {
        self.expect(RunState::Paused, "be saved")?;
        let mut sections = Sections::default();
        // The controllers before the local APICs: a tick of the timer meanwhile is then in the latter, never lost.
        sections.save(VM, &ClockState::of(&self.vm)?)?;
        sections.save(VM, &IrqchipState::of(&self.vm)?)?;
        sections.save(VM, &PitState::of(&self.vm)?)?;
        let answers: Vec<_> = self.vcpus.iter().map(Vcpu::save).collect::<Result<_, _>>()?;
        for (id, (vcpu, answer)) in self.vcpus.iter().zip(&answers).enumerate() {
            sections.save(&vcpu_name(id), &vcpu.answer(answer)??)?;
        }
        self.wiring.each(|device| sections.push(device.save_section()?))?;
        Ok(sections)
    }

    /// Takes a state over, into a machine that was made for it. Nothing runs; after an error nothing ever will, and
    /// the machine is to be dropped.
    ///
    /// # Errors
    /// [`MachineError::WrongState`] unless made by [`Machine::for_incoming`] and not restored yet;
    /// [`MachineError::State`] for a state that cannot be; [`MachineError::Kvm`] where KVM refuses it.
    pub fn restore(&mut self, sections: &Sections) -> Result<(), MachineError> {
        self.expect(RunState::Incoming, "take a state over")?;
        let decoded = self.decode(sections)?;
        let tsc_khz = decoded.vcpus.first().map_or(0, |vcpu| vcpu.tsc_khz);
        let cpuid = decoded.vcpus.first().map(|vcpu| vcpu.cpuid.clone()).unwrap_or_default();

        let context = decoded.clock.apply(&self.vm, tsc_khz)?;
        let answers = self.vcpus.iter().zip(decoded.vcpus).map(|(vcpu, state)| vcpu.restore(state, context));
        let answers: Vec<_> = answers.collect::<Result<_, _>>()?;
        for (vcpu, answer) in self.vcpus.iter().zip(&answers) {
            vcpu.answer(answer)??;
        }
        decoded.irqchip.apply(&self.vm)?;
        decoded.pit.apply(&self.vm)?;
        let mut devices = decoded.devices.iter();
        self.wiring
            .each(|device| devices.next().map_or(Ok(()), |section| device.restore_section(section)))?;

        self.tsc_khz = tsc_khz;
        self.cpuid = cpuid;
        self.state = RunState::Paused;
        Ok(())
    }

    /// Finds and checks every section that this machine needs, and that there is no other.
    fn decode<'a>(&self, sections: &'a Sections) -> Result<Decoded<'a>, MachineError> {
        let cpu = HostCpu::of(&self.vm);
        let mut vcpus = Vec::with_capacity(self.vcpus.len());
        for id in 0..self.vcpus.len() {
            let instance = vcpu_name(id);
            let state: VcpuState = sections.open(&instance)?;
            state.check(cpu).map_err(|reason| StateError::Invalid { instance, reason })?;
            vcpus.push(state);
        }
        let mut devices = Vec::with_capacity(self.wiring.devices.len());
        self.wiring.each(|device| {
            let (kind, instance) = (device.kind(), device.instance());
            let missing = || StateError::Missing { kind: kind.into(), instance: instance.into() };
            devices.push(sections.get(kind, instance).ok_or_else(missing)?);
            Ok::<_, StateError>(())
        })?;
        let known = |s: &&Section| {
            let of_vm = [ClockState::KIND, IrqchipState::KIND, PitState::KIND].contains(&s.kind.as_str());
            let of_vcpu = s.kind == VcpuState::KIND && (0..vcpus.len()).any(|id| s.instance == vcpu_name(id));
            of_vm && s.instance == VM || of_vcpu || devices.contains(s)
        };
        if let Some(section) = sections.iter().find(|section| !known(section)) {
            let reason = format!("this machine has no '{}' of that name", section.kind);
            return Err(StateError::Invalid { instance: section.instance.clone(), reason }.into());
        }
        let (clock, irqchip, pit) = (sections.open(VM)?, sections.open(VM)?, sections.open(VM)?);
        Ok(Decoded { clock, irqchip, pit, vcpus, devices })
    }
}
