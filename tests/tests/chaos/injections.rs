//! Every step with every fault, in processes of their own, several at a time.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use godwit_tests::{
    chaos::{
        case::Case,
        cipher::has_tls,
        disk::has_records,
        matrix::{Has, cases},
        run::{Outcome, play},
        table::Table,
    },
    program::{alone, godwit},
};

/// Injections where the environment does not say.
const CASES: usize = 450;
/// Seed where the environment does not say.
const SEED: u64 = 5;
/// Cases played at a time for each CPU: most of a case's time is waiting.
const PLAYERS_PER_CPU: usize = 3;
/// One case alone, by name.
const ONE: &str = "GODWIT_CHAOS_CASE";
/// How many cases there are.
const HOW_MANY: &str = "GODWIT_CHAOS_CASES";
/// Only those whose names begin so.
const BEGINNING: &str = "GODWIT_CHAOS_ONLY";
/// Their seed.
const WHICH: &str = "GODWIT_CHAOS_SEED";

fn number(variable: &str, otherwise: u64) -> u64 {
    let named = env::var(variable).ok();
    named.map_or(otherwise, |text| text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}")))
}

fn asked() -> Vec<Case> {
    match env::var(ONE) {
        Ok(name) => vec![name.parse().unwrap_or_else(|e| panic!("{ONE}: {e}"))],
        Err(_) => {
            let has = Has { tls: has_tls(), records: has_records() };
            let mut cases = cases(number(HOW_MANY, CASES as u64) as usize, number(WHICH, SEED), has);
            let beginning = env::var(BEGINNING).unwrap_or_default();
            cases.retain(|case| case.to_string().starts_with(&beginning));
            cases
        }
    }
}

#[test]
fn no_fault_at_any_step_loses_or_doubles_a_guest() {
    let _turn = alone();
    // Built before the cases are played, not by all of them at once.
    let program = godwit();
    let (cases, begun) = (asked(), Instant::now());
    let (next, results) = (AtomicUsize::new(0), Mutex::new((Table::default(), Vec::new())));
    let players = thread::available_parallelism().map_or(1, usize::from) * PLAYERS_PER_CPU;
    thread::scope(|scope| {
        for _ in 0..players.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let played = catch_unwind(AssertUnwindSafe(|| play(case)));
                    let took = started.elapsed().as_secs_f64();
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    match played {
                        Ok(outcome) => {
                            println!("{case}: {} in {took:.1} s", outcome.words());
                            results.0.add(case, outcome);
                        }
                        Err(_) => {
                            println!("{case}: FAILED after {took:.1} s");
                            results.1.push(case.to_string());
                        }
                    }
                }
            });
        }
    });
    let (table, failed) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} cases with {} in {:.0} s\n{table}",
        cases.len(),
        program.display(),
        begun.elapsed().as_secs_f64()
    );
    let again: Vec<_> = failed
        .iter()
        .map(|name| format!("{ONE}={name} cargo test -p godwit-tests --test chaos -- --nocapture"))
        .collect();
    assert!(failed.is_empty(), "{} cases failed; each alone:\n{}", failed.len(), again.join("\n"));
    let missed = table.with(Outcome::Missed);
    assert!(missed * 20 <= table.total(), "{missed} of {} cases never came to their step", table.total());
}
