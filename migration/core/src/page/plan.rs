//! What a round sends, and in which order.

use std::ops::Range;

use super::PageSet;
use crate::limits::BLOCK_PAGES;

/// In which order the blocks of a plan are sent. Within a block, pages go by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ascending page numbers.
    Address,
    /// These blocks first, in this order, each at most once; blocks not named follow by address.
    Blocks(Vec<u32>),
}

/// The pages of one round. Shared by all lanes, read-only: each lane walks the blocks that are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to send.
    pub pages: PageSet,
    /// In which order.
    pub order: Order,
    /// Whether a lane looks at the dirty log just before each block and leaves out what has been written again.
    /// Such a page stays in the log, so the next harvest makes it owed again: nothing is lost by leaving it out.
    pub skip_redirtied: bool,
}

impl Plan {
    /// Sends `pages` by address, all of them.
    #[must_use]
    pub fn all(pages: PageSet) -> Self {
        Self { pages, order: Order::Address, skip_redirtied: false }
    }

    /// The blocks of `lane` in sending order. A block always belongs to the same lane, so that the order of the
    /// versions of a page is the order of one stream.
    pub fn blocks(&self, lane: u8, lanes: u8) -> impl Iterator<Item = u32> + '_ {
        let all = 0..self.pages.pages().div_ceil(BLOCK_PAGES);
        let (first, named): (&[u32], PageSet) = match &self.order {
            Order::Address => (&[], PageSet::empty(0)),
            Order::Blocks(blocks) => {
                let mut named = PageSet::empty(all.end);
                blocks.iter().filter(|&&b| b < all.end).for_each(|&b| named.insert(b));
                (blocks, named)
            }
        };
        let end = all.end;
        let rest = all.filter(move |&b| !named.contains(b));
        first
            .iter()
            .copied()
            .filter(move |&b| b < end)
            .chain(rest)
            .filter(move |&b| Self::lane_of(b, lanes) == lane)
    }

    /// The pages of `block`.
    #[must_use]
    pub fn block_range(block: u32) -> Range<u32> {
        block * BLOCK_PAGES..(block + 1) * BLOCK_PAGES
    }

    /// The lane that carries `block`: a multiplicative hash, so that neither stripes nor hot regions load one lane.
    /// Part of the protocol: the target refuses a page on another lane, because its order would be lost.
    #[must_use]
    pub fn lane_of(block: u32, lanes: u8) -> u8 {
        let hash = u64::from(block).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (hash % u64::from(lanes.max(1))) as u8
    }
}
