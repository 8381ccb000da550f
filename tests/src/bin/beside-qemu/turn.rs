//! One guest of one contestant, from its start until it has said what is wanted of it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use godwit_tests::{program::Program, stream::Stream};

use crate::{
    contestant::{Contestant, Guest},
    ground::Ground,
};

/// Longest turn; a few seconds are usual.
const PATIENCE: Duration = Duration::from_secs(240);
const USER_SPACE: &str = "linux: in user space";
const ALL: &str = "linux: measured all";
const FIGURE: &str = "linux: measured ";

/// When a turn is over.
#[derive(Clone, Copy)]
pub enum Until {
    UserSpace,
    Measured,
}

/// What was seen of a turn.
pub struct Seen {
    /// From exec until the guest's first process had said something.
    pub boot: Duration,
    rates: Vec<(String, f64)>,
}

impl Seen {
    /// A figure of the guest's, a second.
    pub fn rate(&self, name: &str) -> f64 {
        self.rates.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, rate)| *rate)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot {:.0} ms", self.boot.as_secs_f64() * 1e3)?;
        self.rates.iter().try_for_each(|(name, rate)| write!(f, ", {name} {rate:.0}"))
    }
}

/// Takes a turn, and ends the guest.
///
/// # Panics
/// Where the guest does not get there; with what was said.
pub fn take(contestant: &Contestant, ground: &Ground, guest: &Guest, until: Until) -> Seen {
    let mut command = contestant.command(ground, guest);
    let begun = SystemTime::now();
    let program = Program::start(contestant.name, &mut command);
    let wanted = match until {
        Until::UserSpace => USER_SPACE,
        Until::Measured => ALL,
    };
    let there = |heard: &str| {
        let over = heard.contains(&format!("{wanted}\r\n")) || heard.contains("linux: ERROR");
        over.then_some(())
    };
    program.out.wait(&format!("'{wanted}' (it complained: {})", program.err.text()), PATIENCE, there);
    let lines = Stream::joined(std::slice::from_ref(&program.out));
    let wrong = lines.iter().find(|line| line.text.contains("linux: ERROR"));
    assert!(wrong.is_none(), "{}: {wrong:?}", contestant.name);
    let first = lines.iter().find(|line| line.text.ends_with(USER_SPACE)).expect("its first line");
    let rates = lines.iter().filter_map(|line| {
        let (name, rate) = line.text.strip_prefix(FIGURE)?.split_once('=')?;
        Some((name.to_owned(), rate.parse().ok()?))
    });
    Seen { boot: first.at.duration_since(begun).unwrap_or_default(), rates: rates.collect() }
}
