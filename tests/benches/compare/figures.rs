//! A figure: the median of some runs, and how far they spread.

/// Values of one figure, sorted.
pub struct Figure(Vec<f64>);

impl Figure {
    pub fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Prints median, least and most.
    pub fn show(&self, who: &str, what: &str) {
        let at = |index: usize| self.0.get(index).copied().unwrap_or(f64::NAN);
        let last = self.0.len().saturating_sub(1);
        println!(
            "{who:<20} {what:<40} {:>9.1}  ({:.1} to {:.1}, {} runs)",
            at(last / 2),
            at(0),
            at(last),
            self.0.len()
        );
    }
}
