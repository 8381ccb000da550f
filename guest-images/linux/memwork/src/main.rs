//! The Linux guest's work. One thread per CPU writes pages of its own region and checks them, carries a computation
//! with a known answer, and watches the clocks; the main thread prints a heartbeat of what they all saw.
//!
//! Knows nothing of virtual machines or migration: it sees what any program would see, which is the point.
//! Its words come from the kernel command line by way of `/init`, and [`params`] says what they mean.

#![warn(missing_docs)]

mod clock;
mod compute;
mod echo;
mod entropy;
mod heartbeat;
mod memory;
mod params;
mod stats;
mod sys;
mod worker;

use std::{
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{heartbeat::Heartbeat, params::Params, stats::Stats, worker::Worker};

/// How often the main thread looks whether it has something to do while no heartbeat is asked for.
const QUIET_STEP: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let params = match Params::parse(std::env::args().skip(1)) {
        Ok(params) => params,
        Err(error) => {
            println!("linux: ERROR {error}");
            return ExitCode::from(2);
        }
    };
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let stats: Vec<Arc<Stats>> = (0..cpus).map(|_| Arc::default()).collect();
    let workers: Vec<Worker> =
        stats.iter().enumerate().map(|(cpu, stats)| Worker::new(cpu, cpus, &params, stats.clone())).collect();
    println!("linux: READY cpus={cpus} memory={} rate={}", params.memory_bytes, params.rate_pages);
    for worker in workers {
        thread::spawn(move || worker.run());
    }
    let rng_bytes = entropy::start();
    if let Some(port) = params.echo
        && let Err(error) = echo::start(port.get())
    {
        println!("linux: ERROR no echo on port {port}: {error}");
    }
    beat(&params, &mut Heartbeat::new(stats, rng_bytes))
}

/// Prints heartbeats until the duration is over; the exit code says whether anything was wrong.
fn beat(params: &Params, heartbeat: &mut Heartbeat) -> ExitCode {
    let start = Instant::now();
    let mut next = start;
    loop {
        next += params.heartbeat.unwrap_or(QUIET_STEP);
        let end = params.duration.map(|duration| start + duration);
        let until = end.map_or(next, |end| end.min(next));
        thread::sleep(until.saturating_duration_since(Instant::now()));
        if params.heartbeat.is_some() {
            println!("{}", heartbeat.line());
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            let (line, bad) = heartbeat.summary();
            println!("{line}");
            return if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        // After a pause longer than the interval, carry on from now instead of printing what was missed.
        next = next.max(Instant::now() - params.heartbeat.unwrap_or(QUIET_STEP));
    }
}

/// Prints what was found wrong, the first few times: a broken machine must not flood its console.
fn complain(stats: &Stats, what: &str) {
    const COMPLAINTS: u64 = 8;
    if stats.bad.fetch_add(1, Ordering::Relaxed) < COMPLAINTS {
        println!("linux: BAD {what}");
    }
}
