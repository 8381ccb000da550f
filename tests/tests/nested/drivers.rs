//! Drivers that come and go under a guest at work, before a move, after it and while it moves.

use std::time::Duration;

use crate::host::Journey;

/// How long it may take, on a machine that is busy with another host: seven moves of a guest that works on every device.
const LIMIT: Duration = Duration::from_secs(1200);

#[test]
#[ignore = "takes minutes: see docs/nested.md"]
fn drivers_come_and_go_in_the_middle_of_their_work_and_of_a_move() {
    let program = env!("CARGO_BIN_EXE_drivers-journey");
    let output = Journey { modules: &["bridge"], limit: LIMIT, ..Journey::of(program) }.done();
    assert!(output.contains("all drivers went and came back"), "{output}");
}

#[test]
#[ignore = "takes minutes: see docs/nested.md"]
fn each_device_lasts_ten_moves_alone() {
    let program = env!("CARGO_BIN_EXE_drivers-journey");
    let journey = Journey { arguments: "alone", modules: &["bridge"], limit: LIMIT, ..Journey::of(program) };
    let output = journey.done();
    assert!(output.contains("every device lasted alone"), "{output}");
}
