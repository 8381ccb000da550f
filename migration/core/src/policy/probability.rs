//! Fang 2016: a page is held while it will probably be dirtied again.
//!
//! The probability of each page is predicted from its history. Where the paper leaves it open: recent harvests weigh more,
//! `p = Σ w·(1 − w)^age` over the harvests that found it dirty, which is the exponential mean. The paper also raises its
//! bandwidth cap when the dirty rate jumps; that belongs to the sender, not to the choice of pages.

use super::{Policy, Scene};
use crate::{
    page::Plan,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "probability",
    about: "pages that will probably not be dirtied again",
    params: &[
        Param {
            name: "weight",
            about: "what the last harvest weighs against all before it",
            default: "0.5",
            kind: Kind::Real(0.01, 1.0),
        },
        Param {
            name: "probability",
            about: "above it a page is held",
            default: "0.5",
            kind: Kind::Real(0.0, 1.0),
        },
    ],
    make: |values| Box::new(Probability::new(values.real("weight"), values.real("probability"))),
};

struct Probability {
    /// Whether a page is held, by its history.
    held: [bool; 256],
}

impl Probability {
    fn new(weight: f64, above: f64) -> Self {
        let probability = |history: usize| -> f64 {
            (0..8).filter(|age| history >> age & 1 == 1).map(|age| weight * (1.0 - weight).powi(age)).sum()
        };
        Self { held: std::array::from_fn(|history| probability(history) > above) }
    }
}

impl Policy for Probability {
    fn plan(&mut self, scene: &Scene) -> Plan {
        let history = scene.book.history();
        Plan::all(scene.book.owed().filtered(|page| !self.held[usize::from(history[page as usize])]))
    }
}
