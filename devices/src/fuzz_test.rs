//! Hostile guests against every kind of device: sequences of what a driver does, most of it right and the rest as wrong as it
//! can be, deterministic, so that a failure is found again. The subjects stand beside their devices' tests: `ports` for
//! what is on the ISA bus, `virtio::fuzz_test` for what is behind registers in memory. CI runs some seconds' worth; a long
//! run, and another:
//!
//! ```text
//! GODWIT_FUZZ_ITERATIONS=20000 GODWIT_FUZZ_SEED=7 cargo test --release -p godwit-devices --lib hostile
//! ```

#[path = "../../migration/core/tests/fuzz/mutator.rs"]
mod mutator;
mod ports;

pub(crate) use mutator::Mutator;

use crate::{KINDS, virtio};

/// Runs `play` for each sequence, with choices of its own; says which sequence it was that failed.
pub(crate) fn sequences(seed: u64, iterations: u64, mut play: impl FnMut(&mut Mutator)) {
    let seed = number("GODWIT_FUZZ_SEED", seed);
    for number in 0..number("GODWIT_FUZZ_ITERATIONS", iterations) {
        let _told = Told { seed, number };
        play(&mut Mutator::new(seed << 32 ^ number));
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is '{text}', no number")))
}

/// Names the sequence in which a test fails.
struct Told {
    seed: u64,
    number: u64,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in sequence {} of GODWIT_FUZZ_SEED={}", self.number, self.seed);
        }
    }
}

/// A generation is memory only: there is nothing that a guest could ask it.
const UNREACHED: [&str; 1] = ["vmgenid"];

#[test]
fn every_kind_of_device_has_its_enemy() {
    for kind in KINDS.iter().filter(|kind| !UNREACHED.contains(&kind.name)) {
        let attacked = ports::ATTACKED.contains(&kind.name) || virtio::ATTACKED.contains(&kind.name);
        assert!(attacked, "nobody attacks a '{}'", kind.name);
    }
}
