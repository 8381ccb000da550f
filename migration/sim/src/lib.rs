//! The lab: the engine on a virtual clock and a virtual link, with virtual guests.
//!
//! The machines and the lanes are the real ones, [`Source`](godwit_migration::source::Source),
//! [`Target`](godwit_migration::target::Target), [`LaneOut`](godwit_migration::wire::LaneOut) and
//! [`LaneIn`](godwit_migration::wire::LaneIn); only what is around them is not: no KVM, no socket, no thread, no real
//! time. One [`Lab`] is one migration, and the same lab gives the same [`Run`], to the last event.
//!
//! | file | owns |
//! |---|---|
//! | [`workload`] | what a guest writes while it runs: the seam for recorded traces |
//! | [`guest`] | a guest's memory, as versions of pages, and its dirty log |
//! | [`link`] | bandwidth and latency |
//! | [`fault`] | what goes wrong, and when |
//! | [`costs`] | how long a host takes for what the engine asks of it |
//! | [`run`] | what came of it |
//! | [`trace`] | dirty traces: recorded or made up, and their file |
//! | [`replay`] | whole migrations over a trace, without bytes: fast enough to compare thousands |
//! | [`compare`] | rows, tables and the study of many replays; forecasts; the lab against a real report |
//! | [`plot`] | charts and pages of reports, as text |
//! | `agenda`, `world` | the virtual clock: what happens, in order of time |
//! | `source_side`, `target_side`, `lane`, `hearing` | the drivers: they do for the machines what `godwit-transport` does with sockets |
//!
//! ```
//! use std::time::Duration;
//! use godwit_lab::{Lab, guest::GuestSpec, link::Link, workload::Uniform};
//!
//! let guest = GuestSpec::new(4096, 2048, Box::new(Uniform::new(0..1024, 1000.0, 7)));
//! let run = Lab::new(guest, Link { bytes_per_s: 125e6, latency: Duration::from_micros(50) }).run();
//! assert!(run.target_runs && run.differing.is_empty());
//! println!("{} rounds, {:.1} ms down", run.report.rounds.len(), run.report.downtime_s.total * 1e3);
//! ```

#![forbid(unsafe_code)]

mod agenda;
pub mod compare;
pub mod costs;
pub mod fault;
pub mod guest;
#[cfg(test)]
mod guest_test;
mod hearing;
mod lab;
mod lane;
pub mod link;
pub mod plot;
mod random;
pub mod replay;
pub mod run;
mod source_side;
mod target_side;
pub mod trace;
pub mod workload;
#[cfg(test)]
mod workload_test;
mod world;

pub use lab::Lab;
pub use run::Run;
