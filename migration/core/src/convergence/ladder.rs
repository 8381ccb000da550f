//! What is tried, one thing after the other, when pre-copy makes no progress: the user's ladder of escalation.
//!
//! A ladder is a list of rungs in the grammar of [`crate::part`]: `budget,ceiling=300ms,throttle,by=halving,cancel`.
//! On each stall the next step is taken, and then there is patience again: the count of rounds begins anew, also when the
//! guest is slowed further. `budget` is as many steps as it takes to its ceiling. Without a last word (`cancel`,
//! `force`) the rounds go on at the top as they do without a ladder, until a stop rule or the time-out ends them.

use std::{collections::VecDeque, fmt, time::Duration};

use super::{
    Standing,
    stall::{Minima, PARAMS},
};
use crate::{
    part::{Choice, Kind, Param, Row},
    slow::Throttle,
};

/// What a rung is made to do.
#[derive(Clone, Debug)]
pub enum Rung {
    /// Says what a stall is, and takes no step.
    Stall(Patience),
    /// Multiplies the downtime budget, up to a ceiling.
    Budget {
        /// By so much at each step.
        factor: f64,
        /// Up to here.
        ceiling: Duration,
    },
    /// Slows the guest by this part of [`SLOWS`](crate::slow::SLOWS).
    Throttle(&'static str),
    /// Gives the migration up.
    Cancel,
    /// Stops and copies.
    Force,
}

/// How long a stall lasts until a step is taken.
#[derive(Clone, Debug)]
pub struct Patience(Minima);

/// All rungs.
pub static RUNGS: &[Row<Rung>] = &[
    Row {
        name: "stall",
        about: "what counts as no progress; only as the first",
        params: PARAMS,
        make: |values| Box::new(Rung::Stall(Patience(Minima::new(values)))),
    },
    Row {
        name: "budget",
        about: "raise the downtime budget, stall by stall, up to a ceiling",
        params: &[
            Param {
                name: "factor",
                about: "by so much each time",
                default: "2",
                kind: Kind::Real(1.01, 100.0),
            },
            Param {
                name: "ceiling",
                about: "up to here",
                default: "1s",
                kind: Kind::Time(Duration::from_millis(1), Duration::from_secs(3600)),
            },
        ],
        make: |values| {
            Box::new(Rung::Budget { factor: values.real("factor"), ceiling: values.time("ceiling") })
        },
    },
    Row {
        name: "throttle",
        about: "slow the guest",
        params: &[Param {
            name: "by",
            about: "a part of the slow axis",
            default: "steps",
            kind: Kind::Word(&["steps", "halving", "share", "dirty-limit", "last-resort"]),
        }],
        make: |values| Box::new(Rung::Throttle(values.word("by"))),
    },
    Row {
        name: "cancel",
        about: "give up, the guest goes on at the source; only as the last",
        params: &[],
        make: |_| Box::new(Rung::Cancel),
    },
    Row {
        name: "force",
        about: "stop and copy, whatever the downtime; only as the last",
        params: &[],
        make: |_| Box::new(Rung::Force),
    },
];

/// A ladder as the user wrote it. The default has no rungs.
#[derive(Clone, Debug, Default)]
pub struct Escalation(Vec<Choice<Rung>>);

impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rungs: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&rungs.join(","))
    }
}

impl Escalation {
    /// Reads a ladder.
    ///
    /// # Errors
    /// A sentence that names what is wrong and what may stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rungs = Choice::list("escalate", RUNGS, text)?;
        let last = rungs.len().saturating_sub(1);
        for (i, rung) in rungs.iter().enumerate() {
            match rung.name() {
                "stall" if i > 0 => {
                    return Err(
                        "'stall' of 'escalate' says when steps are taken; it may only be the first".into()
                    );
                }
                name @ ("cancel" | "force") if i < last => {
                    return Err(format!("'{name}' of 'escalate' is the end; it may only be the last"));
                }
                _ => {}
            }
        }
        match rungs.last() {
            None => {
                Err("'escalate' is empty; it takes steps such as budget,ceiling=300ms,throttle,cancel".into())
            }
            Some(only) if only.name() == "stall" => {
                Err("'escalate' names no step after 'stall'; there are: budget, throttle, cancel, force"
                    .into())
            }
            Some(_) => Ok(Self(rungs)),
        }
    }

    /// The parts of the slow axis that it may use.
    pub fn slows_by(&self) -> impl Iterator<Item = &'static str> + '_ {
        let word = |rung: &Choice<Rung>| (rung.name() == "throttle").then(|| rung.values().word("by"));
        self.0.iter().filter_map(word)
    }
}

/// A step to take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// This is the downtime budget from here on.
    Budget(Duration),
    /// The guest is slowed by this part from here on.
    Throttle(&'static str),
    /// The migration is given up.
    Cancel,
    /// Stop and copy.
    Force,
}

/// A ladder, and how far it has been climbed.
pub(crate) struct Ladder {
    rungs: VecDeque<Rung>,
    minima: Minima,
    /// The tightest throttle seen since the last step.
    throttle: Throttle,
}

impl Ladder {
    /// At its foot.
    pub(crate) fn new(escalation: &Escalation) -> Self {
        let mut rungs: VecDeque<_> = escalation.0.iter().map(|rung| *rung.make()).collect();
        let minima = match rungs.front() {
            Some(Rung::Stall(Patience(minima))) => minima.clone(),
            _ => Minima::new(Choice::new(&RUNGS[0]).values()),
        };
        rungs.retain(|rung| !matches!(rung, Rung::Stall(_)));
        Self { rungs, minima, throttle: Throttle::None }
    }

    /// The next step, if there is one and what is owed has stalled, and why it is taken.
    pub(crate) fn climb(&mut self, standing: &Standing) -> Option<(Step, String)> {
        if standing.throttle.is_tighter_than(self.throttle) {
            self.throttle = standing.throttle;
            self.minima.restart();
        }
        let why = self.minima.stalled(standing)?;
        let step = self.next(standing.budget)?;
        self.minima.restart();
        Some((step, why))
    }

    fn next(&mut self, budget: Duration) -> Option<Step> {
        loop {
            match self.rungs.front()? {
                Rung::Budget { factor, ceiling } if budget < *ceiling => {
                    return Some(Step::Budget(budget.mul_f64(*factor).min(*ceiling)));
                }
                Rung::Throttle(by) => {
                    let by = *by;
                    self.rungs.pop_front();
                    return Some(Step::Throttle(by));
                }
                Rung::Cancel => return Some(Step::Cancel),
                Rung::Force => return Some(Step::Force),
                // The budget is at its ceiling: the next rung.
                Rung::Budget { .. } | Rung::Stall(_) => drop(self.rungs.pop_front()),
            }
        }
    }
}

#[cfg(test)]
#[path = "ladder_test.rs"]
mod ladder_test;
