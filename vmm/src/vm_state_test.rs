//! The payloads kept of each version of the VM's state still load, and mean what they meant.

use godwit_state::{Schema, Section};
use kvm_bindings::{kvm_irqchip, kvm_pit_state2};

use crate::{
    golden_test::payload,
    kvm::Plain,
    vm_state::{ClockState, IrqchipState, PitState, offset_change},
};

fn check<S: Schema + PartialEq + std::fmt::Debug>(known: &S) {
    let section = Section {
        kind: S::KIND.into(),
        instance: "vm".into(),
        version: S::VERSION,
        payload: payload(S::KIND, 1),
    };
    assert_eq!(S::VERSION, 1);
    assert_eq!(section.open::<S>().unwrap(), *known);
    assert_eq!(Section::of("vm", known).unwrap(), section);
    for length in 0..section.payload.len() {
        let cut = Section { payload: section.payload[..length].to_vec(), ..section.clone() };
        assert!(cut.open::<S>().is_err(), "{length} bytes of '{}'", S::KIND);
    }
}

#[test]
fn the_payloads_kept_of_version_1_still_mean_what_they_meant() {
    check(&ClockState { guest_nanoseconds: 1_234_567_890, real_nanoseconds: 1 << 60, host_tsc: Some(3) });
    let chip = |chip_id| Plain(kvm_irqchip { chip_id, pad: chip_id + 7, ..Default::default() });
    check(&IrqchipState { chips: [chip(0), chip(1), chip(2)] });
    let mut pit = kvm_pit_state2 { flags: 3, ..Default::default() };
    (pit.channels[0].count, pit.channels[2].count_load_time) = (0x1234, -5);
    check(&PitState { pit: Plain(pit) });
}

#[test]
fn a_guests_counter_goes_on_by_the_time_that_passed_whatever_the_hosts_count() {
    const KHZ: u32 = 2_000_000;
    let offset = 0_u64.wrapping_sub(900);
    for (source, target) in [(1_000, 5_000_000), (5_000_000_000, 1_000), (7, 7)] {
        let before = offset.wrapping_add(source);
        let after = offset.wrapping_add(offset_change(1_000_000, KHZ, source, target)).wrapping_add(target);
        assert_eq!(
            after.wrapping_sub(before),
            2_000_000,
            "one millisecond at 2 GHz, from {source} to {target}"
        );
    }
}
