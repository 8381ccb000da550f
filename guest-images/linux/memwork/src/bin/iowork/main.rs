//! Measures the machine's devices from inside: how fast its disk is read, and how fast its network card moves bytes and
//! answers. Prints a line for each figure; whoever started the machine compares.
//!
//! `iowork SECONDS PEER`: each figure takes so many seconds; PEER is the address of who is at the other end of the network
//! (`network.rs` says what it must do). The disk is `/dev/vda`, which is only read.

#![warn(missing_docs)]

mod disk;
mod network;
mod sys;

use std::{
    fmt::Display,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::disk::{Disk, Pattern};

const DISK: &str = "/dev/vda";
const BLOCK_BYTES: usize = 4 << 10;
const STRETCH_BYTES: usize = 1 << 20;

/// What was done in a time.
struct Rate {
    done: u64,
    time: Duration,
}

impl Rate {
    fn since(start: Instant, done: u64) -> Self {
        Self { done, time: start.elapsed() }
    }

    fn per_second(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64()
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &arguments[..] {
        [seconds, peer] => duration(seconds).zip(peer.parse().ok()),
        _ => None,
    };
    let Some((time, peer)) = parsed else {
        return failed(format!("'{}' is not SECONDS ADDRESS:PORT", arguments.join(" ")));
    };
    match measure(time, peer) {
        Ok(()) => {
            println!("linux: measured all");
            ExitCode::SUCCESS
        }
        Err(error) => failed(error),
    }
}

fn duration(seconds: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

fn failed(why: impl Display) -> ExitCode {
    println!("linux: ERROR measuring: {why}");
    ExitCode::FAILURE
}

fn measure(time: Duration, peer: SocketAddr) -> std::io::Result<()> {
    let disk = Disk::open(DISK)?;
    for (name, bytes, depth, pattern) in [
        ("read-4k-1", BLOCK_BYTES, 1, Pattern::Random),
        ("read-4k-16", BLOCK_BYTES, 16, Pattern::Random),
        ("read-1m-1", STRETCH_BYTES, 1, Pattern::Sequential),
        ("read-1m-4", STRETCH_BYTES, 4, Pattern::Sequential),
    ] {
        tell(name, &disk.read(bytes, depth, pattern, time)?);
    }
    tell("net-from", &network::send(peer, time)?);
    tell("net-to", &network::receive(peer, time)?);
    tell("net-requests", &network::requests(peer, time)?);
    Ok(())
}

fn tell(name: &str, rate: &Rate) {
    println!("linux: measured {name}={:.1}", rate.per_second());
}
