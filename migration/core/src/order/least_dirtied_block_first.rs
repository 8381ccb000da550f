//! Das 2015 (blocks): the blocks with the fewest dirty bits recorded so far go first.
//!
//! The length of a block is a number of the engine's 2 MiB blocks, in which the lanes order.

use super::{Arrange, stripes};
use crate::{limits::BLOCK_PAGES, page::Plan, part::Row, policy::Scene};

pub(super) const ROW: Row<dyn Arrange> = Row {
    name: "least-dirtied-block-first",
    about: "by ascending number of dirty bits recorded so far",
    params: &[stripes::BLOCKS],
    make: |values| Box::new(LeastDirtiedBlockFirst { blocks: values.whole("blocks") as usize }),
};

struct LeastDirtiedBlockFirst {
    blocks: usize,
}

impl Arrange for LeastDirtiedBlockFirst {
    fn arrange(&mut self, plan: Plan, scene: &Scene) -> Plan {
        let block = |dirtied: &[u8]| dirtied.iter().copied().map(u32::from).sum();
        let by_block: Vec<u32> = scene.book.dirtied().chunks(BLOCK_PAGES as usize).map(block).collect();
        let ranked = stripes::ranked(&plan, self.blocks, &stripes::sums(&by_block, self.blocks));
        Plan { order: stripes::order(&ranked, self.blocks), ..plan }
    }
}
