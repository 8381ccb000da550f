//! States of a machine, mutated: each is taken over or refused, by decoders, checks and KVM; nothing runs. Needs /dev/kvm.

use std::cell::Cell;

use godwit_state::{Section, Sections};

use super::bench::{boot, incoming};
use crate::fuzz_test::each;

#[test]
fn a_state_is_taken_over_or_refused() {
    let (source, _token) = boot("memory=1M", 1);
    let saved: Vec<Section> = source.machine.save().unwrap().iter().cloned().collect();
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    for at in 0..saved.len() {
        // A device without a state has nothing to mutate.
        let seeds = [saved[at].payload.clone()];
        each(16 + at as u64, 12, &seeds, |_, payload| {
            let mut sections = saved.clone();
            sections[at].payload = payload;
            let mut target = incoming(&source.machine);
            match target.machine.restore(&Sections::checked(sections).unwrap()) {
                Ok(()) => {
                    // What was taken over can be saved again.
                    target.machine.save().unwrap();
                    taken.set(taken.get() + 1);
                }
                Err(error) => {
                    assert!(error.to_string().len() < 4096, "{error}");
                    refused.set(refused.get() + 1);
                }
            }
        });
    }
    assert!(taken.get() > 0 && refused.get() > 0, "{taken:?} taken, {refused:?} refused");
}
