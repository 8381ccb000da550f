//! Disks of a guest that moves while it writes to one and reads the other.

use crate::host::Journey;

#[test]
fn disks_hold_what_a_moving_guest_wrote() {
    let program = env!("CARGO_BIN_EXE_disk-journey");
    let output = Journey { modules: &["loop"], ..Journey::of(program) }.done();
    assert!(output.contains("moved twice"), "{output}");
}
