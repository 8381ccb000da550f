//! A guest on a bridge, moved there and back with a TCP stream and datagrams under way: the stream breaks nowhere, and
//! each move is announced by the host and by the guest.

use crate::host::Journey;

#[test]
fn streams_go_on_and_moves_are_announced() {
    let program = env!("CARGO_BIN_EXE_linux-net");
    let output = Journey { modules: &["bridge"], ..Journey::of(program) }.done();
    assert!(output.contains("network moved twice"), "{output}");
}
