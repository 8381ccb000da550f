//! A figure: the median of some runs, and how far they spread.

/// Values of one figure, sorted.
pub struct Figure(Vec<f64>);

impl Figure {
    /// Of these values.
    pub fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The middle one, the lower of the two middle ones where their number is even; not a number where there is none.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.at(self.0.len().saturating_sub(1) / 2)
    }

    /// Prints median, least and most.
    pub fn show(&self, who: &str, what: &str) {
        let last = self.0.len().saturating_sub(1);
        println!(
            "{who:<20} {what:<40} {:>9.1}  ({:.1} to {:.1}, {} runs)",
            self.median(),
            self.at(0),
            self.at(last),
            self.0.len()
        );
    }

    fn at(&self, index: usize) -> f64 {
        self.0.get(index).copied().unwrap_or(f64::NAN)
    }
}
