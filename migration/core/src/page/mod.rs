//! Guest pages: how they are numbered, sets of them, and what is known of each.
//!
//! A *page number* counts 4 KiB pages over the regions of guest memory in address order; the hole below 4 GiB has no
//! numbers. Who needs addresses (KVM's slots, a guest's gpa) translates at the edge, by [`crate::shape::MemoryShape`].

mod book;
#[cfg(test)]
mod book_test;
mod plan;
mod set;
#[cfg(test)]
mod set_test;

pub use book::PageBook;
pub use plan::{Order, Plan};
pub use set::{PageSet, Runs};
