//! Takes a whole Debian through journeys: programs that people run work in it and on it while it moves between two hosts,
//! and what they say is the judge. Made for a nested host with the Debian image as both of its disks.
//!
//! `debian-journey KERNEL INITRD JOURNEY...`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing
//! that held; ends with a panic at the first harm.

mod background;
mod devices;
mod everything;
mod fio;
mod iperf;
mod network;
mod postgres;
mod redis;
mod use_of;

use std::{
    env, thread,
    time::{Duration, Instant},
};

use godwit_tests::debian::{Debian, PATIENCE};

type Journey = fn(&mut Debian);

/// The journeys by name.
const JOURNEYS: &[(&str, Journey)] = &[
    ("postgres", postgres::journey),
    ("redis", redis::journey),
    ("fio", fio::journey),
    ("iperf", iperf::journey),
    ("devices", devices::journey),
    ("network", network::journey),
    ("everything", everything::journey),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd, names @ ..] = &arguments[..] else { panic!("KERNEL INITRD JOURNEY... are wanted") };
    let journeys: Vec<_> = names
        .iter()
        .map(|name| {
            let found = JOURNEYS.iter().find(|(known, _)| known == name);
            *found.unwrap_or_else(|| panic!("no journey '{name}'"))
        })
        .collect();
    let mut debian = Debian::boot(kernel, initrd);
    println!("it is {}", debian.run("uname -sr; cat /etc/debian_version; findmnt -no SOURCE,FSTYPE,SIZE /"));
    for (name, journey) in journeys {
        let begun = Instant::now();
        println!("{name}:");
        journey(&mut debian);
        println!("  {name} done in {:.0} s", begun.elapsed().as_secs_f64());
    }
    let moves = debian.moves.len();
    debian.power_off();
    println!("all journeys done, {moves} moves");
}

/// Waits until `there`.
fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < end, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(250));
    }
}
