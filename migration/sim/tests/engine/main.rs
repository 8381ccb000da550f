//! The engine without KVM: whole migrations on virtual time, by both machines and the lanes between them.

mod arrives;
mod bytes;
mod common;
mod downtime;
mod free;
mod handover;
mod slowing;
