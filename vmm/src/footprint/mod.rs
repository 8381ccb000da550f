//! What a VMM process keeps of the host's memory for itself, beside its guest's.
//!
//! Half of what a process has of its program when its guest runs is code that only the start needs (the command line, the
//! boot loader, the making of the sandbox), mapped 64 KiB at a time around each page that is touched. Neighbour:
//! `control::process` calls it once, when the guest runs or is waited for.

#[cfg(test)]
mod footprint_test;
mod sys;

pub(crate) use sys::forget_program;
