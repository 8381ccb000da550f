//! Hostile input for whatever takes bytes from users and files: mutations of what is right, deterministic, so that a
//! failure is found again. The tests stand beside their subjects. CI runs a few seconds' worth; a long run, and another:
//!
//! ```text
//! GODWIT_FUZZ_ITERATIONS=10000000 GODWIT_FUZZ_SEED=7 cargo test --release -p godwit --lib fuzz
//! ```

#[path = "../../migration/core/tests/fuzz/mutator.rs"]
mod mutator;

pub(crate) use mutator::Mutator;

/// What stands at a limit, or means something to some parser.
const WORDS: [&str; 24] = [
    "0",
    "-1",
    "1e308",
    "18446744073709551616",
    "0.0000001",
    "NaN",
    "null",
    "true",
    "\"\"",
    "{}",
    "[",
    "]",
    "}",
    "\\u0000",
    "é",
    ",",
    "=",
    ":",
    "/",
    "..",
    "%",
    "1G",
    "tcp:[::1]:0",
    "unix:",
];

/// Calls `f` with mutations of `seeds`: bytes changed as by any [`Mutator`], and words put in.
pub(crate) fn each(seed: u64, iterations: u64, seeds: &[Vec<u8>], mut f: impl FnMut(&mut Mutator, Vec<u8>)) {
    let mut mutator = Mutator::new(number("GODWIT_FUZZ_SEED", seed));
    for _ in 0..number("GODWIT_FUZZ_ITERATIONS", iterations) {
        let mut input = seeds[mutator.below(seeds.len())].clone();
        if mutator.below(2) == 0 {
            input = mutator.mutate(seeds);
        }
        for _ in 0..mutator.below(3) {
            let at = mutator.below(input.len() + 1);
            let end = (at + mutator.below(8)).min(input.len());
            input.splice(at..end, WORDS[mutator.below(WORDS.len())].bytes());
        }
        f(&mut mutator, input);
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is '{text}', no number")))
}
