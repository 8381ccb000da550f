//! Disks of a guest that moves while it writes to one and reads the other.

use godwit_ci::nested::kernel::Series;

use crate::host::Journey;

#[test]
fn disks_hold_what_a_moving_guest_wrote() {
    let program = env!("CARGO_BIN_EXE_disk-journey");
    let output = Journey { program, arguments: "", series: Series::V6_1, modules: &["loop"] }.done();
    assert!(output.contains("moved twice"), "{output}");
}
