//! The order axis: in which order a plan's pages go, and where it is cut.
//!
//! A part is one file and one line in [`ORDERS`].

mod address;
mod coldest_stripe_first;
mod least_dirtied_block_first;
mod stripes;

#[cfg(test)]
mod order_test;

use crate::{page::Plan, part::Row, policy::Scene};

/// The order axis of a preset.
pub trait Arrange: Send {
    /// Orders what the policy chose, and may leave some of it for the next round.
    fn arrange(&mut self, plan: Plan, scene: &Scene) -> Plan;
}

/// All orders.
pub static ORDERS: &[Row<dyn Arrange>] =
    &[address::ROW, coldest_stripe_first::ROW, least_dirtied_block_first::ROW];
