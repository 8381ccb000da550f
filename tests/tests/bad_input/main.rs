//! What bad input gets: one clear sentence, a status that is not zero, and nothing lost. Files, numbers, hosts and peers,
//! each wrong in its own way.

mod disks;
mod files;
mod host;
mod numbers;
mod sockets;
mod sources;
mod targets;
