//! Faults at every step of a migration, and a guest that must come through all of them once and whole.
//!
//! docs/chaos.md tells what is injected and how to play more of it, or one case again.

mod injections;
mod soak;
