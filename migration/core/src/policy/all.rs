//! Every owed page: what QEMU does.

use super::{Policy, Scene};
use crate::{page::Plan, part::Row};

pub(super) const ROW: Row<dyn Policy> =
    Row { name: "all", about: "every owed page", params: &[], make: |_| Box::new(All) };

struct All;

impl Policy for All {
    fn plan(&mut self, scene: &Scene) -> Plan {
        Plan::all(scene.book.owed().clone())
    }
}
