//! Stock Debian kernels as guests, on a complete KVM: that of the nested host.
//!
//! Each test is one boot of a nested host, in which a program of this package does the work: booting a host costs as
//! much as moving a guest. One target, so that two hosts run at a time.

mod balloon;
mod console;
mod debian;
mod disk;
mod drivers;
mod host;
mod net;
mod panic;
mod queues;
mod serve;
mod stock;
mod study;
mod vsock;
