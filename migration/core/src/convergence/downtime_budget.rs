//! Stop when what is owed would fit the downtime that the user allows: what QEMU does with `downtime-limit`.
//!
//! Unlike QEMU's, the prediction contains the cost of everything that is not pages.

use super::{Convergence, Standing, Verdict};
use crate::part::Row;

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "downtime-budget",
    about: "when the predicted downtime is within the budget",
    params: &[],
    make: |_| Box::new(DowntimeBudget),
};

struct DowntimeBudget;

impl Convergence for DowntimeBudget {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        match standing.predicted_downtime() {
            Some(predicted) if predicted <= standing.budget => Verdict::Final(format!(
                "the predicted downtime of {:.1} ms is within the budget of {:.1} ms",
                predicted.as_secs_f64() * 1e3,
                standing.budget.as_secs_f64() * 1e3
            )),
            // State and round trips alone are over the budget; no other round would change that. The pages can still
            // be kept within it.
            Some(predicted)
                if standing.fixed_cost > standing.budget
                    && predicted - standing.fixed_cost <= standing.budget =>
            {
                Verdict::Final(format!(
                    "the predicted downtime of {:.1} ms cannot come within the budget of {:.1} ms: {:.1} ms of it are not pages",
                    predicted.as_secs_f64() * 1e3,
                    standing.budget.as_secs_f64() * 1e3,
                    standing.fixed_cost.as_secs_f64() * 1e3
                ))
            }
            _ => Verdict::Again,
        }
    }
}
