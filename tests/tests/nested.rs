//! Stock Debian kernels as guests, booted and moved on a complete KVM: that of the nested host.
//!
//! Each test is one boot of a nested host, in which `linux-journey` does the work: booting a host costs as much as
//! moving a guest.

use std::time::Duration;

use godwit_ci::nested::{Outcome, Request, capture, kernel::Series};
use godwit_tests::{linux::impossible_flags, program::godwit};

/// How long the guests of one host may take, on a machine that is busy with another host.
const LIMIT: Duration = Duration::from_secs(240);

/// Guests of `series` with 1 and 2 vCPUs, in a host of the same kernel. Repeated, once, where the host's own CPU is
/// proven to have failed.
fn journey(series: Series) {
    let (mut outcome, mut output) = attempt(series);
    if let Some(flags) = impossible_flags(&output).filter(|_| outcome.code != 0) {
        println!("{output}\na guest died of EFLAGS {flags:#x}, which no CPU can have: once more");
        (outcome, output) = attempt(series);
    }
    println!("{output}\nhost up after {:?}, all done after {:?}", outcome.up_after, outcome.total);
    assert_eq!(outcome.code, 0, "{output}");
    assert_eq!(output.matches("moved cpus=").count(), 2, "{output}");
    assert!(output.contains("powered off by itself"), "{output}");
}

/// One boot of a nested host.
fn attempt(series: Series) -> (Outcome, String) {
    let guest = |file: &str| format!("/guest/{series}/{file}");
    let script = format!(
        "GODWIT_BIN=/work/godwit TMPDIR=/work exec linux-journey {} {} 1,2",
        guest("vmlinuz"),
        guest("initramfs.cpio")
    );
    let mut request = Request::new(["sh", "-c", &script])
        .bring(godwit())
        .and_then(|request| request.bring(env!("CARGO_BIN_EXE_linux-journey")))
        .expect("both programs are there");
    request.kernel = series;
    request.guests = vec![series];
    request.cpus = 2;
    request.timeout = LIMIT;
    capture(&request).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn debian_6_1_boots_and_moves_with_1_and_2_cpus() {
    journey(Series::V6_1);
}

#[test]
fn debian_6_12_boots_and_moves_with_1_and_2_cpus() {
    journey(Series::V6_12);
}
