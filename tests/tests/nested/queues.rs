//! Queues of every size, under Linux's own drivers.

use crate::host::Journey;

#[test]
fn a_disk_and_a_network_card_work_with_the_smallest_queues_and_the_largest() {
    let program = env!("CARGO_BIN_EXE_queues-journey");
    let output = Journey { modules: &["bridge"], ..Journey::of(program) }.done();
    assert!(output.contains("queues of every size worked"), "{output}");
}
