//! The guest is left alone.

use super::{Slow, Throttle};
use crate::{convergence::Standing, part::Row};

pub(super) const ROW: Row<dyn Slow> =
    Row { name: "none", about: "the guest is left alone", params: &[], make: |_| Box::new(None) };

struct None;

impl Slow for None {
    fn decide(&mut self, _: &Standing) -> Throttle {
        Throttle::None
    }
}
