//! Stripes: runs of blocks, for orders that rank stretches of memory.

use crate::{
    page::{Order, Plan},
    part::{Kind, Param},
};

/// How long a stripe is. Lanes order whole blocks, so a stripe is a number of them.
pub(super) const BLOCKS: Param = Param {
    name: "blocks",
    about: "a stripe is so many blocks of 2 MiB",
    default: "1",
    kind: Kind::Whole(1, 1 << 16),
};

/// Sums of `by_block` over stripes of `blocks` blocks.
pub(super) fn sums(by_block: &[u32], blocks: usize) -> Vec<u64> {
    by_block.chunks(blocks).map(|stripe| stripe.iter().copied().map(u64::from).sum()).collect()
}

/// The stripes that `plan` has pages in, those with the least `rank` first; equals by address.
pub(super) fn ranked(plan: &Plan, blocks: usize, rank: &[u64]) -> Vec<u32> {
    let pages = sums(&plan.pages.count_by_block(), blocks);
    let mut stripes: Vec<u32> =
        (0..).zip(&pages).filter(|(_, pages)| **pages > 0).map(|(stripe, _)| stripe).collect();
    stripes.sort_by_key(|&stripe| rank[stripe as usize]);
    stripes
}

/// The order that sends these stripes one after the other.
pub(super) fn order(stripes: &[u32], blocks: usize) -> Order {
    let blocks = blocks as u32;
    Order::Blocks(stripes.iter().flat_map(|stripe| stripe * blocks..(stripe + 1) * blocks).collect())
}
