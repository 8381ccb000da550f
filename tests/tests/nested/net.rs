//! A guest on a bridge, moved there and back with a TCP stream and datagrams under way: the stream breaks nowhere, and
//! each move is announced by the host and by the guest.

use crate::host::Journey;

fn journey(arguments: &'static str) -> String {
    let program = env!("CARGO_BIN_EXE_linux-net");
    let output = Journey { arguments, modules: &["bridge"], ..Journey::of(program) }.done();
    assert!(output.contains("network moved twice"), "{output}");
    output
}

#[test]
fn streams_go_on_and_moves_are_announced() {
    journey("");
}

#[test]
fn streams_go_on_over_several_pairs_of_queues() {
    let output = journey("several");
    assert!(output.contains("tap1: 2 queues are used"), "{output}");
}
