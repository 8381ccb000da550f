//! Stop when rounds no longer help: what is owed has made no new minimum for some rounds and some time.
//!
//! A minimum counts as new when it is lower than the last one by some per cent. Owed pages that go up and come down
//! again to where they were are no progress, so oscillation does not start the count anew.

use std::time::Duration;

use super::{Convergence, Standing, Verdict};
use crate::part::{Kind, Param, Row, Values};

/// What says how patient one is.
pub(super) const PARAMS: &[Param] = &[
    Param {
        name: "rounds",
        about: "rounds without a new minimum of owed pages",
        default: "4",
        kind: Kind::Whole(1, 10_000),
    },
    Param {
        name: "time",
        about: "and so much time",
        default: "1s",
        kind: Kind::Time(Duration::ZERO, Duration::from_secs(24 * 3600)),
    },
    Param {
        name: "percent",
        about: "by which a minimum is lower than the last to count",
        default: "5",
        kind: Kind::Real(0.0, 99.0),
    },
];

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "stall",
    about: "when what is owed no longer becomes less",
    params: PARAMS,
    make: |values| Box::new(Stall(Minima::new(values))),
};

/// The minima of what is owed.
#[derive(Clone, Debug)]
pub(super) struct Minima {
    rounds: u32,
    time: Duration,
    gain: f64,
    least: Option<Least>,
}

/// A minimum: pages, and when it was.
#[derive(Clone, Copy, Debug)]
struct Least {
    owed: u64,
    round: u32,
    at: Duration,
}

impl Minima {
    /// None seen yet.
    pub(super) fn new(values: &Values) -> Self {
        Self {
            rounds: values.whole("rounds") as u32,
            time: values.time("time"),
            gain: values.real("percent") / 100.0,
            least: None,
        }
    }

    /// Looks at what is owed; why that is a stall, if it is one.
    pub(super) fn stalled(&mut self, standing: &Standing) -> Option<String> {
        if standing.rounds == 0 {
            return None;
        }
        let now = Least { owed: standing.owed_pages, round: standing.rounds, at: standing.elapsed };
        let Some(least) = self.least else {
            self.least = Some(now);
            return None;
        };
        if (now.owed as f64) < least.owed as f64 * (1.0 - self.gain) {
            self.least = Some(now);
            return None;
        }
        let (rounds, time) = (now.round - least.round, now.at.saturating_sub(least.at));
        (rounds >= self.rounds && time >= self.time).then(|| {
            format!(
                "what is owed has been no lower than {} pages for {rounds} rounds and {:.1} s",
                least.owed,
                time.as_secs_f64()
            )
        })
    }

    /// Begins anew, from the next look on.
    pub(super) fn restart(&mut self) {
        self.least = None;
    }
}

struct Stall(Minima);

impl Convergence for Stall {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        self.0.stalled(standing).map_or(Verdict::Again, Verdict::Final)
    }
}
