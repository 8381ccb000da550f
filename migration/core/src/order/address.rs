//! By ascending page number: what everybody does who says nothing of order.

use super::Arrange;
use crate::{page::Plan, part::Row, policy::Scene};

pub(super) const ROW: Row<dyn Arrange> =
    Row { name: "address", about: "by ascending page number", params: &[], make: |_| Box::new(Address) };

struct Address;

impl Arrange for Address {
    fn arrange(&mut self, plan: Plan, _: &Scene) -> Plan {
        plan
    }
}
