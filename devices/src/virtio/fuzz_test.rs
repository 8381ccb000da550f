//! Hostile drivers against every virtio device: through its registers, its rings and its other end on the host, with moves
//! and pauses in between. After each sequence nothing has changed but what the driver gave to be written, all of it is in
//! the log of the VMM's writes, the device comes back from its saved state, and serves a driver that resets it.
//!
//! How to run more of it is said in `crate::fuzz_test`. Neighbours: `guard` knows what may be written, `hostile`
//! is the driver, `sockets` has those of the host; the others are the devices.

mod balloon;
mod block;
mod console;
mod guard;
mod hostile;
mod net;
mod rng;
mod sockets;
mod vsock;

/// The kinds of devices that these attack.
pub(crate) const ATTACKED: [&str; 6] =
    ["virtio-rng", "virtio-blk", "virtio-net", "virtio-balloon", "virtio-vsock", "virtio-console"];

/// Sequences against each device that CI plays.
const SEQUENCES: u64 = 150;
