//! The balloon of a guest, and a move that leaves its free pages behind.

use crate::host::Journey;

#[test]
fn what_a_guest_has_free_does_not_travel_and_its_balloon_does() {
    let program = env!("CARGO_BIN_EXE_balloon-journey");
    let output = Journey::of(program).done();
    assert!(output.contains("unharmed"), "{output}");
}
