//! What came of many cases, as a short table.

use std::{collections::BTreeMap, fmt};

use super::{
    case::Case,
    fault::{FAULTS, Fault},
    run::Outcome,
};

/// Counts by fault and outcome.
#[derive(Debug, Default)]
pub struct Table {
    counts: BTreeMap<(usize, Outcome), usize>,
}

impl Table {
    /// Counts one.
    pub fn add(&mut self, case: &Case, outcome: Outcome) {
        *self.counts.entry((row(case.fault), outcome)).or_default() += 1;
    }

    /// Cases that came to `outcome`.
    #[must_use]
    pub fn with(&self, outcome: Outcome) -> usize {
        self.counts.iter().filter(|((_, o), _)| *o == outcome).map(|(_, count)| count).sum()
    }

    /// All cases.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }
}

fn row(fault: Fault) -> usize {
    FAULTS.iter().position(|(_, each)| *each == fault).unwrap_or(FAULTS.len())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = Outcome::ALL.into_iter().filter(|outcome| self.with(*outcome) > 0).collect();
        let names: Vec<_> = columns.iter().map(|outcome| outcome.words()).collect();
        writeln!(f, "| fault | {} |", names.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(columns.len()))?;
        for (number, (fault, _)) in FAULTS.iter().enumerate() {
            let count = |outcome: &Outcome| match self.counts.get(&(number, *outcome)) {
                Some(count) => count.to_string(),
                None => "–".to_owned(),
            };
            let counts: Vec<_> = columns.iter().map(count).collect();
            writeln!(f, "| {fault} | {} |", counts.join(" | "))?;
        }
        let totals: Vec<_> = columns.iter().map(|outcome| self.with(*outcome).to_string()).collect();
        writeln!(f, "| all {} | {} |", self.total(), totals.join(" | "))
    }
}
