//! The harness of the end-to-end suites: it starts the real `godwit` program, talks to it as a user or a peer does, and
//! lets the guest itself say whether it came to harm.
//!
//! What is where: [`program`] runs a process and [`stream`] hears it, [`terminal`] is one for it; [`site`] is a place where
//! VMM processes run, [`vmm`] one of them, [`journey`] a guest on its way through several; [`verdict`] and [`linux`] judge by the
//! guest's own lines; [`api`] speaks HTTP, [`ch_remote`] as Cloud Hypervisor's client does; [`peer`] and [`relay`] are the other
//! ends and the wires that a network may have; [`shell`] and [`port`] talk with a Linux guest, [`network`] reaches it,
//! [`debian`] is a whole Debian on its way between two hosts;
//! [`figures`] are what a comparison prints, [`lab`] holds the lab against what was real; [`kvm_events`] are what KVM did when a test failed;
//! [`chaos`] does everything wrong that can go wrong.
//!
//! It knows godwit by its command line, its API and its wire format only. Everything here panics with what was heard so
//! far: a harness that fails is a test that fails.

#![forbid(unsafe_code)]

pub mod api;
pub mod ch_remote;
pub mod chaos;
pub mod debian;
pub mod figures;
pub mod journey;
pub mod kvm_events;
pub mod lab;
pub mod linux;
#[cfg(test)]
mod linux_test;
pub mod network;
pub mod peer;
pub mod port;
pub mod program;
pub mod relay;
pub mod shell;
pub mod site;
pub mod stream;
pub mod terminal;
pub mod verdict;
#[cfg(test)]
mod verdict_test;
pub mod vmm;
