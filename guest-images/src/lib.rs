//! The guests that godwit is tested with: the bare-metal load guest, and the recipe of the Linux guest.
//!
//! The load guest is embedded here ([`LOAD_ELF`]), with what a host needs to drive it: its parameters, what its
//! pages hold, and its lines ([`LoadLine`]). `docs/load-guest.md` is its manual. This package knows nothing of the
//! VMM that boots a guest.

#[path = "../load/src/content.rs"]
pub mod content;
#[cfg(test)]
#[path = "../load/src/content_test.rs"]
mod content_test;
#[path = "../load/src/layout.rs"]
pub mod layout;
#[cfg(test)]
#[path = "../load/src/layout_test.rs"]
mod layout_test;
#[path = "../load/src/ledger.rs"]
pub mod ledger;
#[cfg(test)]
#[path = "../load/src/ledger_test.rs"]
mod ledger_test;
pub mod line;
#[cfg(test)]
mod line_test;
#[path = "../load/src/pace.rs"]
pub mod pace;
#[cfg(test)]
#[path = "../load/src/pace_test.rs"]
mod pace_test;
#[path = "../load/src/parameters.rs"]
pub mod parameters;
#[cfg(test)]
#[path = "../load/src/parameters_test.rs"]
mod parameters_test;

pub use line::{Heartbeat, LoadLine};

/// The load guest: a static ELF64 that boots by PVH or by Linux' 64-bit entry.
pub const LOAD_ELF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/load.elf"));
