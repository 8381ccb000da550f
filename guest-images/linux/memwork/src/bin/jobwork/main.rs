//! Work of the kinds that people move guests with: `jobwork build|store|sort`. A job goes round for ever, looks at what came
//! of each round, and says once a second:
//!
//! ```text
//! linux: job=store rounds=12 work=98304 bad=0
//! ```
//!
//! `work` counts what the job counts: files built, requests served, numbers sorted. `bad` is whatever was wrong.

mod build;
mod random;
mod sort;
mod store;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// What came of a round.
pub struct Done {
    /// What the job counts.
    pub work: u64,
    /// What was wrong, in words.
    pub wrong: Vec<String>,
}

/// A job between two rounds.
pub trait Job {
    /// One round of it.
    fn round(&mut self) -> Done;
}

/// How often a job says how far it is; not in the middle of a round.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Wrongs that are told in words.
const TOLD: u64 = 8;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let mut job: Box<dyn Job> = match name.as_str() {
        "build" => Box::new(build::Build::new()),
        "store" => Box::new(store::Store::new()),
        "sort" => Box::new(sort::Sort::new()),
        _ => {
            println!("linux: ERROR godwit.job={name}: there are build, store and sort");
            return ExitCode::FAILURE;
        }
    };
    let (mut rounds, mut work, mut bad) = (0u64, 0u64, 0u64);
    let mut said = Instant::now();
    loop {
        let done = job.round();
        rounds += 1;
        work += done.work;
        for wrong in done.wrong {
            bad += 1;
            if bad <= TOLD {
                println!("linux: BAD {name}: {wrong}");
            }
        }
        if said.elapsed() >= SAY_EVERY {
            println!("linux: job={name} rounds={rounds} work={work} bad={bad}");
            said = Instant::now();
        }
    }
}
