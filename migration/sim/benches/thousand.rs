//! How long a thousand replays of a guest of 1 GiB take on this machine's cores: every preset on six workloads, as often as
//! it takes. Run with `cargo bench -p godwit-lab`.

use std::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use godwit_lab::{
    link::Link,
    replay::{Model, Replay},
    trace::{Tape, synth::Synth},
};
use godwit_migration::preset::{PRESETS, Scheme};

const REPLAYS: usize = 1000;
const PAGES: u32 = 1 << 18;
const WORKLOADS: [&str; 6] = [
    "idle",
    "sequential,rate=5000,working_set=64M",
    "uniform,rate=50000,working_set=128M",
    "hot,rate=50000,working_set=512M",
    "phases",
    "uniform,rate=unlimited,working_set=256M",
];

fn main() {
    let link = Link { bytes_per_s: 125e6, latency: std::time::Duration::from_micros(50) };
    let began = Instant::now();
    let tapes: Vec<_> = WORKLOADS
        .iter()
        .map(|text| Tape::new(Synth::parse(text).unwrap().trace(PAGES, PAGES).unwrap()))
        .collect();
    println!("{} traces made up in {:.2} s", tapes.len(), began.elapsed().as_secs_f64());
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= REPLAYS {
                        return;
                    }
                    let tape = &tapes[n % tapes.len()];
                    let scheme = Scheme::of(&PRESETS[n / tapes.len() % PRESETS.len()]);
                    let mut replay = Replay::new(scheme, Model::over(link));
                    replay.start = tape.trace().length() * (n as u32) / REPLAYS as u32;
                    assert!(replay.run(tape).report.error.is_none());
                }
            });
        }
    });
    println!("{REPLAYS} replays of 1 GiB on {threads} threads in {:.2} s", began.elapsed().as_secs_f64());
    for (text, tape) in WORKLOADS.iter().zip(&tapes) {
        for preset in PRESETS {
            let replay = Replay::new(Scheme::of(preset), Model::over(link));
            let began = Instant::now();
            let rounds = replay.run(tape).report.rounds.len();
            println!(
                "{:>8.2} ms {rounds:>5} rounds  {} on {text}",
                began.elapsed().as_secs_f64() * 1e3,
                preset.name
            );
        }
    }
}
