//! The states of a guest, with a machine of its own on this host's KVM.

use std::sync::mpsc;

use super::Guest;
use crate::{
    DeviceSet, DirtyKind, ExitSender, Machine, MachineConfig, SerialConfig, api::VmState, boot::Kernel,
};

/// A guest that runs and does nothing.
fn running() -> Guest {
    let config = MachineConfig {
        kernel: Kernel::Builtin(guest_images::LOAD_ELF),
        initrd: None,
        cmdline: "memory=1M".into(),
        memory_bytes: 64 << 20,
        cpus: 1,
        serial: SerialConfig::Null,
        dirty: DirtyKind::Log,
        devices: DeviceSet::default(),
    };
    let (exits, _) = mpsc::channel();
    let (mut machine, token) = Machine::boot(&config, ExitSender::from(exits)).unwrap();
    machine.resume(token).map_err(|(_, error)| error).unwrap();
    Guest::Running(machine)
}

#[test]
fn pause_and_resume_take_turns() {
    let mut guest = running();
    assert!(guest.resume().unwrap_err().to_string().contains("the guest is running"));
    guest.pause().unwrap();
    assert_eq!(guest.state(), VmState::Paused);
    assert!(guest.pause().unwrap_err().to_string().contains("the guest is paused"));
    assert!(guest.save().unwrap().len() > 1);
    guest.resume().unwrap();
    assert_eq!(guest.state(), VmState::Running);
    assert!(guest.save().is_err(), "a running guest has no state to save");
}

#[test]
fn without_the_right_to_run_nothing_runs_until_it_is_back() {
    let mut guest = running();
    guest.give_up();
    assert_eq!(guest.state(), VmState::Running, "only a paused guest can be given up");
    guest.pause().unwrap();
    guest.give_up();
    let said = guest.resume().unwrap_err().to_string();
    assert!(said.contains("may be running it"), "{said}");
    guest.take_back();
    guest.resume().unwrap();
}

#[test]
fn a_guest_departs_only_after_it_was_given_up() {
    let mut guest = running();
    assert!(guest.depart().is_none());
    guest.pause().unwrap();
    assert!(guest.depart().is_none());
    guest.give_up();
    assert!(guest.depart().is_some());
    assert_eq!(guest.state(), VmState::Shutdown);
    assert!(guest.resume().unwrap_err().to_string().contains("runs elsewhere"));
}

#[test]
fn an_empty_process_has_nothing_to_act_on() {
    let mut guest = Guest::Empty;
    for error in [guest.pause().unwrap_err(), guest.resume().unwrap_err(), guest.arrive().unwrap_err()] {
        assert!(error.to_string().contains("no guest here yet"), "{error}");
    }
    guest.discard(false);
    assert!(guest.machine().is_none());
}
