//! Every owed page, by address: what QEMU does.

use super::{Policy, PolicyRow};
use crate::page::{PageBook, Plan};

pub(crate) const ROW: PolicyRow =
    PolicyRow { name: "all", about: "every owed page, by address", make: || Box::new(All) };

struct All;

impl Policy for All {
    fn plan(&mut self, _round: u32, book: &PageBook) -> Plan {
        Plan::all(book.owed().clone())
    }
}
