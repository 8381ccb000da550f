//! Xen's first rule for schemes that hold pages back: few pages are left, those that were held included.
//!
//! What a round dirtied says little of what must still go where a policy holds pages back; what is owed does.

use super::{Convergence, Standing, Verdict};
use crate::{
    limits::MAX_PAGES,
    part::{Kind, Param, Row},
};

pub(super) const ROW: Row<dyn Convergence> = Row {
    name: "few-owed",
    about: "when fewer pages than that are owed",
    params: &[Param {
        name: "pages",
        about: "number of pages",
        default: "50",
        kind: Kind::Whole(1, MAX_PAGES as u64),
    }],
    make: |values| Box::new(FewOwed { pages: values.whole("pages") }),
};

struct FewOwed {
    pages: u64,
}

impl Convergence for FewOwed {
    fn decide(&mut self, standing: &Standing) -> Verdict {
        if standing.owed_pages >= self.pages {
            return Verdict::Again;
        }
        Verdict::Final(format!("{} pages are owed", standing.owed_pages))
    }
}
