//! The project's own tools: its checks, its test command, and the nested host, which the end-to-end suites use as a
//! library. It looks at the other packages from outside (`cargo metadata`, their sources, their programs) and depends
//! on none of them.

#![forbid(unsafe_code)]

pub mod checks;
pub mod counts;
pub mod deny;
pub mod metadata;
pub mod nested;
pub mod packages;
pub mod prose;
pub mod rooms;
#[cfg(test)]
mod rooms_test;
pub mod sources;
pub mod steps;
#[cfg(test)]
mod steps_test;
pub mod suites;
pub mod test_run;
pub mod unsafety;
pub mod workspace;
