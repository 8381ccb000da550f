//! A console device, before a move and after it.

use crate::host::Journey;

#[test]
fn a_console_and_a_named_port_go_on_where_the_guest_has_moved_to() {
    let program = env!("CARGO_BIN_EXE_console-journey");
    let output = Journey::of(program).done();
    assert!(output.contains("both answer where the guest has moved to"), "{output}");
    assert!(output.contains("terminals were typed at, and are as they were"), "{output}");
}
