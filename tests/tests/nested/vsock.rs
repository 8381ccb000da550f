//! Streams between host and guest, before a move and after it.

use crate::host::Journey;

#[test]
fn streams_end_with_a_move_and_new_ones_find_their_way() {
    let program = env!("CARGO_BIN_EXE_vsock-journey");
    let output = Journey::of(program).done();
    assert!(output.contains("moved with vsock"), "{output}");
}
