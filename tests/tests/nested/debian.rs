//! A whole Debian, with every device, whose users notice nothing of its moves. One of the journeys is for every run of the
//! tests; `docs/workloads.md` tells how to take all of them.

use std::time::Duration;

use godwit_ci::nested::kernel::debian_image;

use crate::host::Journey;

/// How long one of these may take, on a machine that is busy with another host.
const LIMIT: Duration = Duration::from_secs(1500);
const PROGRAM: &str = env!("CARGO_BIN_EXE_debian-journey");

fn journey(name: &'static str) {
    taken(Journey { arguments: name, limit: LIMIT, ..Journey::of(PROGRAM) });
}

fn taken(journey: Journey) {
    let image = debian_image().unwrap_or_else(|error| panic!("{error:#}"));
    let name = journey.arguments;
    // One is the guest's, one its clients'.
    let disks = vec![image.clone(), image];
    let output = Journey { modules: &["bridge", "veth"], disks, ..journey }.done();
    assert!(output.contains(&format!("{name} done")) && output.contains("switched off in order"), "{output}");
}

#[test]
fn redis_loses_no_increment_and_no_connection() {
    journey("redis");
}

#[test]
#[ignore = "takes minutes: see docs/workloads.md"]
fn postgresql_loses_no_transaction_and_no_connection() {
    journey("postgres");
}

#[test]
#[ignore = "takes minutes: see docs/workloads.md"]
fn fio_finds_what_it_wrote() {
    journey("fio");
}

#[test]
#[ignore = "takes minutes: see docs/workloads.md"]
fn iperf_goes_on() {
    journey("iperf");
}

#[test]
#[ignore = "takes minutes: see docs/workloads.md"]
fn a_stream_and_pings_go_on() {
    taken(Journey {
        arguments: "network",
        counts_instructions: true,
        // Five times what it takes where the emulator does not come to a stand.
        limit: Duration::from_secs(300),
        ..Journey::of(PROGRAM)
    });
}

#[test]
#[ignore = "takes minutes: see docs/workloads.md"]
fn disks_and_network_are_used_throughout_three_moves() {
    journey("everything");
}

#[test]
#[ignore = "takes minutes: see docs/workloads.md"]
fn every_device_lasts_ten_moves() {
    journey("devices");
}
