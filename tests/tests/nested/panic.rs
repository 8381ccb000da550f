//! A guest that panics where it has moved to.

use crate::host::Journey;

#[test]
fn a_panic_is_told_shown_and_the_reason_of_the_end() {
    let program = env!("CARGO_BIN_EXE_panic-journey");
    let output = Journey::of(program).done();
    assert!(output.contains("ended with status 70"), "{output}");
}
