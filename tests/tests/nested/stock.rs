//! Guests with 1 and 2 vCPUs that boot, work, move, are typed to and end by their power button.

use godwit_ci::nested::kernel::Series;

use crate::host::Journey;

/// What the guest tells of its generation is `generation`, before its moves and after them.
fn journey(series: Series, generation: &str) {
    let program = env!("CARGO_BIN_EXE_linux-journey");
    let output = Journey { arguments: "1,2", series, ..Journey::of(program) }.done();
    assert_eq!(output.matches("moved cpus=").count(), 2, "{output}");
    assert_eq!(output.matches(&format!("generation={generation} forks=0\n")).count(), 2, "{output}");
    assert!(output.contains("powered off by itself"), "{output}");
}

#[test]
fn debian_6_1_boots_and_moves_with_1_and_2_cpus() {
    // Debian's cloud kernel of this series has no driver for it.
    journey(Series::V6_1, "none");
}

#[test]
fn debian_6_12_boots_and_moves_with_1_and_2_cpus() {
    journey(Series::V6_12, "QEMUVGID:00");
}
