//! The payload kept of each version of a vCPU's state still loads, and means what it meant.

use godwit_migration::shape::CpuidEntry;
use godwit_state::{Schema, Section};

use super::state::VcpuState;
use crate::kvm::Plain;

/// A state with a value of its own in every field.
fn known() -> VcpuState {
    let mut state = VcpuState {
        cpuid: vec![CpuidEntry { function: 0xd, index: 1, flags: 1, registers: [2, 3, 4, 0xffff_ffff] }],
        tsc_khz: 2_445_424,
        tsc_offset: Some(u64::MAX - 5),
        regs: Plain::default(),
        sregs: Plain::default(),
        debug: Plain::default(),
        xcrs: Plain::default(),
        xsave: vec![7, 8, 9],
        msrs: vec![(0x10, 11), (0xc000_0080, 12)],
        lapic: Plain::default(),
        mp_state: 3,
        events: Plain::default(),
        nested: Some(vec![13, 14]),
    };
    (state.regs.0.rax, state.regs.0.rflags) = (15, 16);
    (state.sregs.0.cs.base, state.sregs.0.pdptrs[3]) = (17, 18);
    (state.debug.0.db[0], state.debug.0.dr7) = (19, 20);
    (state.xcrs.0.nr_xcrs, state.xcrs.0.xcrs[0].value) = (1, 21);
    (state.lapic.0.regs[0x20], state.lapic.0.regs[1023]) = (22, 23);
    (state.events.0.exception.nr, state.events.0.exception_payload) = (24, 25);
    state
}

#[test]
fn the_payload_kept_of_version_1_still_means_what_it_meant() {
    let payload = crate::golden_test::payload("vcpu", 1);
    let section = Section { kind: "vcpu".into(), instance: "vcpu0".into(), version: 1, payload };
    assert_eq!(section.open::<VcpuState>().unwrap(), known());
    assert_eq!(VcpuState::VERSION, 1);
    assert_eq!(Section::of("vcpu0", &known()).unwrap(), section);
}

#[test]
fn a_cut_payload_is_an_error_wherever_it_is_cut() {
    let whole = Section::of("vcpu0", &known()).unwrap();
    for length in 0..whole.payload.len() {
        let cut = Section { payload: whole.payload[..length].to_vec(), ..whole.clone() };
        assert!(cut.open::<VcpuState>().is_err(), "{length} bytes");
    }
}
