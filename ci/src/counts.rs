//! How many tests a test runner says it ran.

use std::ops::AddAssign;

/// Tests by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Not run, because they are marked so.
    pub ignored: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl Counts {
    /// For a step's line; none where there were no tests.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match self {
            Self { passed: 0, failed: 0, ignored: 0 } => None,
            Self { passed, ignored: 0, .. } => Some(format!("{passed} tests")),
            Self { passed, ignored, .. } => Some(format!("{passed} tests, {ignored} NOT run (ignored)")),
        }
    }
}

/// Sums up every `test result:` line of `text`.
#[must_use]
pub fn count(text: &str) -> Counts {
    let mut sum = Counts::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        // "ok. 14 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.51s"
        for part in line.split(['.', ';']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => sum.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => sum.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => sum.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_up() {
        let text = "test a ... ok\n\
            test result: ok. 14 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.51s\n\
            it says: test result: ok. 100 passed\n\
            test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        assert_eq!(count(text), Counts { passed: 17, failed: 2, ignored: 1 });
        assert_eq!(count("").words(), None);
        assert_eq!(count(text).words().unwrap(), "17 tests, 1 NOT run (ignored)");
    }
}
