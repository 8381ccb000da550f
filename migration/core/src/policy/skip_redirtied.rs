//! Clark et al. 2005 (Xen), §4.2: a page that has been dirtied again already is left for a later round.
//!
//! The paper peeks at the dirty bitmap while the round runs. Here each lane peeks just before every 2 MiB block. The
//! first round is sent whole in the paper's figure of `to_send`, but its text applies `to_skip` to every round; we
//! follow the text.

use super::{Policy, Scene};
use crate::{page::Plan, part::Row};

pub(super) const ROW: Row<dyn Policy> = Row {
    name: "skip-redirtied",
    about: "owed pages, except those written again just before they would go",
    params: &[],
    make: |_| Box::new(SkipRedirtied),
};

struct SkipRedirtied;

impl Policy for SkipRedirtied {
    fn plan(&mut self, scene: &Scene) -> Plan {
        Plan { skip_redirtied: true, ..Plan::all(scene.book.owed().clone()) }
    }
}
