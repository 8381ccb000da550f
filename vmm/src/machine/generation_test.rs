//! A guest has a generation from its boot on, keeps it when it moves, and is told of a new one.

use godwit_devices::{GED_GENERATION, PowerState};
use vm_memory::Bytes;

use super::{
    Machine,
    bench::{boot, copy_pages, incoming, moved, touched},
};
use crate::{boot::layout::GENERATION, error::MachineError};

fn seen(machine: &Machine) -> [u8; 16] {
    machine.memory.read_obj(GENERATION).unwrap()
}

#[test]
fn a_move_keeps_the_generation() {
    let (mut source, token) = boot("memory=1M", 1);
    let generation = seen(&source.machine);
    assert_ne!(generation, [0; 16]);
    assert_ne!(generation, seen(&boot("memory=1M", 1).0.machine));
    source.resume(token);
    source.await_beats(1);
    assert!(matches!(source.machine.renew_generation(), Err(MachineError::WrongState { .. })));
    let token = source.machine.pause().unwrap();
    assert_eq!(seen(&moved(source, token).machine), generation);
}

#[test]
fn what_is_made_from_a_copy_is_given_another_and_told() {
    let (source, _token) = boot("memory=1M", 1);
    let sections = source.machine.save().unwrap();
    let mut copy = incoming(&source.machine);
    copy_pages(&source.machine, &copy.machine, &touched(&source.machine));
    copy.machine.restore(&sections).unwrap();
    assert_eq!(seen(&copy.machine), seen(&source.machine));
    copy.machine.renew_generation().unwrap();
    assert_ne!(seen(&copy.machine), seen(&source.machine));
    let told = |machine: &Machine| machine.save().unwrap().open::<PowerState>("power").unwrap().events;
    assert_eq!((told(&source.machine), told(&copy.machine)), (0, GED_GENERATION));
}
