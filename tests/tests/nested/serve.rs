//! A Linux guest that clients of the API make, end by its power button and make anew, in a process that stays.

use crate::host::Journey;

#[test]
fn a_linux_guest_ends_by_its_power_button_and_its_process_stays() {
    let program = env!("CARGO_BIN_EXE_linux-serve");
    let output = Journey::of(program).done();
    assert!(output.contains("powered off twice, booted four times"), "{output}");
}
