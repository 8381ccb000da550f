//! No pre-copy: pause, copy all, resume. What there was before live migration, and the floor for total time and bytes.

use super::{Convergence, Standing, Verdict};
use crate::part::Row;

pub(super) const ROW: Row<dyn Convergence> =
    Row { name: "at-once", about: "before the first round", params: &[], make: |_| Box::new(AtOnce) };

struct AtOnce;

impl Convergence for AtOnce {
    fn decide(&mut self, _: &Standing) -> Verdict {
        Verdict::Final("the guest was to be moved without pre-copy".into())
    }
}
