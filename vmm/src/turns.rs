//! Whose turn it is where threads are more than CPUs: a vCPU's soon, and that of what is left of a guest that has moved away last.

mod sys;

pub(crate) use sys::{give_way, take_short_turns};
