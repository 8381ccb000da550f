//! A guest that is moved and moved again, and migrations that are cancelled again and again.

use std::env;

use godwit_tests::{
    chaos::{
        cipher::has_tls,
        footprint::Footprint,
        soak::{cancel_again_and_again, soak},
    },
    program::{alone, godwit},
};

/// Moves where the environment does not say.
const MOVES: usize = 20;
/// Cancelled attempts of one pair for each move that is asked for.
const ATTEMPTS_PER_MOVE: usize = 2;
/// How many moves there are.
const HOW_MANY: &str = "GODWIT_SOAK_MOVES";
const SEED: u64 = 11;

fn moves() -> usize {
    let named = env::var(HOW_MANY).ok();
    named.map_or(MOVES, |text| text.parse().unwrap_or_else(|e| panic!("{HOW_MANY}={text}: {e}")))
}

/// Least and most of what was held.
fn range(held: &[Footprint]) -> String {
    let (memory, descriptors) =
        (held.iter().map(|h| h.resident_bytes >> 10), held.iter().map(|h| h.descriptors));
    let ends = |values: Vec<u64>| {
        let (least, most) = (values.iter().min(), values.iter().max());
        least.zip(most).map_or_else(String::new, |(least, most)| format!("{least} to {most}"))
    };
    format!(
        "{} KiB beside the guest, {} file descriptors",
        ends(memory.collect()),
        ends(descriptors.map(|count| count as u64).collect())
    )
}

#[test]
fn a_guest_that_moves_and_moves_comes_to_no_harm_and_costs_no_more_each_time() {
    let _turn = alone();
    println!("with {}, TLS: {}", godwit().display(), has_tls());
    let soaked = soak(moves(), SEED, has_tls());
    println!(
        "{} moves, {} cancelled on the way; longest gap {:?}; {}",
        soaked.moves,
        soaked.cancelled,
        soaked.longest_gap,
        range(&soaked.arrived)
    );
}

#[test]
fn cancelled_migrations_leave_nothing_behind_at_either_side() {
    let _turn = alone();
    println!("with {}, TLS: {}", godwit().display(), has_tls());
    let [source, target] = cancel_again_and_again(moves() * ATTEMPTS_PER_MOVE, SEED, has_tls());
    println!("{} attempts; source: {}; target: {}", source.len(), range(&source), range(&target));
}
